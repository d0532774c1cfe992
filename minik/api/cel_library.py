"""Functions of Kubernetes' CEL libraries for lists, regular expressions and addresses, beside those in `cel.py`, which declares them.

Source: apiserver `pkg/cel/library/{lists,regex,urls,ip,cidr}.go`. Lists: `isSorted`, `sum`, `min`, `max`; texts: `find`, `findAll`;
`isURL`, `isIP`, `isCIDR`; `jsonpatch.escapeKey`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit


def is_sorted(items: Sequence[Any]) -> bool:
    return all(one <= other for one, other in pairwise(items))


def find(text: str, pattern: str) -> str:
    """The first match, or ""."""
    from minik.api.structural_values import go_pattern

    found = go_pattern(pattern).search(text)
    return found[0] if found is not None else ""


def find_all(text: str, pattern: str) -> list[str]:
    from minik.api.structural_values import go_pattern

    return [found[0] for found in go_pattern(pattern).finditer(text)]


def is_url(text: str) -> bool:
    """An absolute URL or an absolute path (Go's url.ParseRequestURI)."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return text.startswith("/") or bool(parts.scheme and (parts.netloc or not parts.path.startswith("/")))


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def escape_key(text: str) -> str:
    """A step of a JSON pointer (RFC 6901)."""
    return text.replace("~", "~0").replace("/", "~1")


Declare = Callable[..., Any]


def declarations(kind: Any, declare: Declare) -> list[Any]:
    """`kind`: the engine's types; `declare(name, returns, parameters, do, member=True)` makes a declaration."""
    items, text = kind.List(kind.DYN), kind.STRING
    return [
        declare("isSorted", kind.BOOL, [items], is_sorted),
        declare("sum", kind.DYN, [items], sum),
        declare("min", kind.DYN, [items], min),
        declare("max", kind.DYN, [items], max),
        declare("find", text, [text, text], find),
        declare("findAll", kind.List(text), [text, text], find_all),
        declare("isURL", kind.BOOL, [text], is_url, member=False),
        declare("isIP", kind.BOOL, [text], is_ip, member=False),
        declare("isCIDR", kind.BOOL, [text], is_cidr, member=False),
        declare("jsonpatch.escapeKey", text, [text], escape_key, member=False),
    ]
