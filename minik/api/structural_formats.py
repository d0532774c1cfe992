"""The formats of strings that structural schemas know (kube-openapi `pkg/validation/strfmt`). Unknown formats hold for everything.

Names without their dashes: `date-time` and `datetime` are the same.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

_HOST = re.compile(
    r"([a-zA-Z0-9\u00a1-\uffff](-?[a-zA-Z0-9\u00a1-\uffff]){0,62})(\.[a-zA-Z0-9\u00a1-\uffff](-?[a-zA-Z0-9\u00a1-\uffff]){0,62})*\.?"
)
_UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_DATE_TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt\s]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})?"
)
_DURATION = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*|0")
_WORDY_DURATION = re.compile(
    r"((\d+)\s*(ns|nano(second)?s?|us|µs|micro(second)?s?|ms|milli(second)?s?|s|sec(ond)?s?|m|min(ute)?s?|h|hr|hours?|d|days?|w|wk|weeks?)\s*)+",
    re.IGNORECASE,
)
_COLOUR = re.compile(r"(?i)#?([0-9a-f]{3}|[0-9a-f]{6})")
_RGB = re.compile(r"rgb\(\s*((25[0-5]|2[0-4]\d|1?\d?\d)\s*,\s*){2}(25[0-5]|2[0-4]\d|1?\d?\d)\s*\)")
_ISBN_10 = re.compile(r"(\d{9}[0-9X])")
_CARD = re.compile(r"\d{12,19}")
_MAC = re.compile(r"([0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5})|([0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2})")
_EMAIL = re.compile(r"[^@\s<>()\[\],;:\\\"]+@[^@\s]+")
_SHORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

Check = Callable[[str], bool]


def _whole(pattern: re.Pattern[str]) -> Check:
    return lambda text: pattern.fullmatch(text) is not None


def _uuid(version: str = "[0-9a-f]", variant: str = "[0-9a-f]") -> Check:
    return _whole(re.compile(_UUID % (version, variant), re.IGNORECASE))


def _ip(version: int) -> Check:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _byte(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) or text.startswith("/")


def _isbn(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if _ISBN_10.fullmatch(digits):
        return sum((10 - at) * (10 if d == "X" else int(d)) for at, d in enumerate(digits)) % 11 == 0
    return (
        digits.isdigit() and len(digits) == 13 and sum((1, 3)[at % 2] * int(d) for at, d in enumerate(digits)) % 10 == 0
    )


def _host(text: str) -> bool:
    return len(text) <= 255 and _HOST.fullmatch(text) is not None


FORMATS: Mapping[str, Check] = {
    "bsonobjectid": _whole(re.compile("[0-9a-fA-F]{24}")),
    "byte": _byte,
    "cidr": _cidr,
    "creditcard": lambda text: _CARD.fullmatch(re.sub(r"[\s-]", "", text)) is not None,
    "date": _whole(_DATE),
    "datetime": _whole(_DATE_TIME),
    "duration": lambda text: bool(_DURATION.fullmatch(text) or _WORDY_DURATION.fullmatch(text.strip())),
    "email": _whole(_EMAIL),
    "hexcolor": _whole(_COLOUR),
    "hostname": _host,
    "ipv4": _ip(4),
    "ipv6": _ip(6),
    "isbn": _isbn,
    "isbn10": _isbn,
    "isbn13": _isbn,
    "k8slongname": lambda text: len(text) <= 253 and all(_SHORT_NAME.fullmatch(part) for part in text.split(".")),
    "k8sshortname": lambda text: len(text) <= 63 and _SHORT_NAME.fullmatch(text) is not None,
    "mac": _whole(_MAC),
    "rgbcolor": _whole(_RGB),
    "ssn": _whole(re.compile(r"\d{3}[- ]?\d{2}[- ]?\d{4}")),
    "uri": _uri,
    "uuid": _uuid(),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
}
