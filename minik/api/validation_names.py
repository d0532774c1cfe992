"""What makes a name, a label or a path segment valid (apimachinery `pkg/util/validation` and `pkg/api/validation`).

Each function takes the text and returns what is wrong with it, in upstream's very words; nothing wrong: an empty list.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

NameCheck = Callable[[str], Sequence[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PORT_CHARS = re.compile(r"[-a-z0-9]+")
_PORT_LETTER = re.compile(r"[a-z]")

_RE = {
    pattern: re.compile(pattern, re.ASCII)
    for pattern in (_LABEL, _SUBDOMAIN, _LABEL_1035, _QUALIFIED, _LABEL_VALUE, _CONFIG_KEY)
}


def _is(pattern: str, text: str) -> bool:
    return _RE[pattern].fullmatch(text) is not None


def max_len(limit: int) -> str:
    return f"must be no more than {limit} {'byte' if limit == 1 else 'bytes'}"


def regex_error(message: str, shown: str, *examples: str) -> str:
    """validation.RegexError."""
    text = f"{message} ("
    if examples:
        text += "e.g. " + " or ".join(f"'{example}', " for example in examples)
    return f"{text}regex used for validation is '{shown}')"


DNS_LABEL_ERROR = regex_error(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an"
    " alphanumeric character",
    _LABEL, "my-name", "123-abc",
)  # fmt: skip
DNS_SUBDOMAIN_ERROR = regex_error(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end"
    " with an alphanumeric character",
    _SUBDOMAIN, "example.com",
)  # fmt: skip
DNS_1035_ERROR = regex_error(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end"
    " with an alphanumeric character",
    _LABEL_1035, "my-name", "abc-123",
)  # fmt: skip
QUALIFIED_ERROR = regex_error(
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _QUALIFIED, "MyName", "my.name", "123-abc",
)  # fmt: skip
LABEL_VALUE_ERROR = regex_error(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with"
    " an alphanumeric character",
    _LABEL_VALUE, "MyValue", "my_value", "12345",
)  # fmt: skip
CONFIG_KEY_ERROR = regex_error(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY, "key.name", "KEY_NAME", "key-name",
)  # fmt: skip
ENV_NAME_ERROR = "a valid environment variable name must consist only of printable ASCII characters other than '='"


@lru_cache(maxsize=4096)
def dns_label(text: str) -> tuple[str, ...]:
    """An RFC 1123 label."""
    problems = []
    if len(text) > 63:
        problems.append(max_len(63))
    if not _is(_LABEL, text):
        if _is(_SUBDOMAIN, text):
            problems.append("must not contain dots")
        else:
            problems.append(DNS_LABEL_ERROR)
    return tuple(problems)


@lru_cache(maxsize=8192)
def dns_subdomain(text: str) -> tuple[str, ...]:
    """An RFC 1123 subdomain."""
    problems = []
    if len(text) > 253:
        problems.append(max_len(253))
    if not _is(_SUBDOMAIN, text):
        problems.append(DNS_SUBDOMAIN_ERROR)
    return tuple(problems)


_WILDCARD = r"\*\." + _SUBDOMAIN
WILDCARD_ERROR = regex_error(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case"
    " alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD, "*.example.com",
)  # fmt: skip
_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


def wildcard_subdomain(text: str) -> tuple[str, ...]:
    """A host name whose first label is `*`."""
    problems = []
    if len(text) > 253:
        problems.append(max_len(253))
    if not re.fullmatch(_WILDCARD, text, re.ASCII):
        problems.append(WILDCARD_ERROR)
    return tuple(problems)


def domain_prefixed_path(text: str) -> tuple[str, ...]:
    """`example.com/path`: the name of a controller (IsDomainPrefixedPath)."""
    domain, slash, path = text.partition("/")
    if not slash or not domain or not path:
        return ('must be a domain-prefixed path (such as "acme.io/foo")',)
    problems = list(dns_subdomain(domain))
    if not _PATH.fullmatch(path):
        problems.append(regex_error("Invalid path", _PATH.pattern))
    return tuple(problems)


def dns_1035_label(text: str) -> tuple[str, ...]:
    problems = []
    if len(text) > 63:
        problems.append(max_len(63))
    if not _is(_LABEL_1035, text):
        problems.append(DNS_1035_ERROR)
    return tuple(problems)


@lru_cache(maxsize=8192)
def qualified_name(text: str) -> tuple[str, ...]:
    """A label key, annotation key or the like: `[prefix/]name`."""
    problems: list[str] = []
    parts = text.split("/")
    if len(parts) == 1:
        part = parts[0]
    elif len(parts) == 2:
        prefix, part = parts
        if not prefix:
            problems.append("prefix part must be non-empty")
        else:
            problems += (f"prefix part {problem}" for problem in dns_subdomain(prefix))
    else:
        shown = regex_error(
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
            " alphanumeric character",
            _QUALIFIED, "MyName", "my.name", "123-abc",
        )  # fmt: skip
        return (f"{shown} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    if not part:
        problems.append("name part must be non-empty")
    elif len(part) > 63:
        problems.append("name part " + max_len(63))
    if not _is(_QUALIFIED, part):
        problems.append(QUALIFIED_ERROR)
    return tuple(problems)


@lru_cache(maxsize=8192)
def label_value(text: str) -> tuple[str, ...]:
    problems = []
    if len(text) > 63:
        problems.append(max_len(63))
    if not _is(_LABEL_VALUE, text):
        problems.append(LABEL_VALUE_ERROR)
    return tuple(problems)


def path_segment(text: str) -> tuple[str, ...]:
    """A name that can stand in a URL path (used by a few kinds with free names)."""
    if text in (".", ".."):
        return (f"may not be '{text}'",)
    return tuple(f"may not contain '{char}'" for char in ("/", "%") if char in text)


def config_key(text: str) -> tuple[str, ...]:
    """A key of a ConfigMap or Secret: a file name."""
    problems = []
    if len(text) > 253:
        problems.append(max_len(253))
    if not _is(_CONFIG_KEY, text):
        problems.append(CONFIG_KEY_ERROR)
    if text == ".":
        problems.append("must not be '.'")
    elif text == "..":
        problems.append("must not be '..'")
    elif text.startswith(".."):
        problems.append("must not start with '..'")
    return tuple(problems)


def env_name(text: str) -> tuple[str, ...]:
    """An environment variable's name (relaxed form: KEP-4369)."""
    if all(" " <= char <= "~" and char != "=" for char in text):
        return ()
    return (ENV_NAME_ERROR,)


def port_name(text: str) -> tuple[str, ...]:
    """An IANA service name (RFC 6335)."""
    problems = []
    if len(text) > 15:
        problems.append("must be no more than 15 characters long")
    if not _PORT_CHARS.fullmatch(text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _PORT_LETTER.search(text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        problems.append("must not begin or end with a hyphen")
    return tuple(problems)


def port_number(number: int) -> tuple[str, ...]:
    return () if 1 <= number <= 65535 else ("must be between 1 and 65535, inclusive",)


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def ip(text: str) -> tuple[str, ...]:
    return () if is_ip(text) else ("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",)


def is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def prefix(check: NameCheck) -> NameCheck:
    """`check` for a generateName: what a suffix makes valid is allowed (trailing `-`)."""

    def checked(text: str) -> Sequence[str]:
        return check(text[:-1] + "a" if len(text) > 1 and text.endswith("-") else text)

    return checked
