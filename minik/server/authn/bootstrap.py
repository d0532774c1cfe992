"""Bootstrap tokens: Secrets of type `bootstrap.kubernetes.io/token` in kube-system, by which a node joins.

Source: kubernetes `plugin/pkg/auth/authenticator/token/bootstrap`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

from minik.api import meta, times
from minik.api.meta import ROObj
from minik.server.request import User
from minik.storage.cache import Cache

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
TYPE = "bootstrap.kubernetes.io/token"
GROUP = "system:bootstrappers"


def is_bootstrap_token(token: str) -> bool:
    return _TOKEN.fullmatch(token) is not None


def verify(cache: Cache, token: str, now: datetime) -> User | None:
    """`system:bootstrap:<id>` if the token is known, unexpired and meant for authentication, else None."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    token_id, secret = match.groups()
    entry = cache.get(f"secrets/kube-system/bootstrap-token-{token_id}")
    if entry is None or entry.obj.get("type") != TYPE or meta.is_deleting(entry.obj):
        return None
    data = entry.obj.get("data") or {}
    if not hmac.compare_digest(_text(data, "token-secret"), secret) or _text(data, "token-id") != token_id:
        return None
    if _text(data, "usage-bootstrap-authentication") != "true" or _is_expired(data, now):
        return None
    extra = [g for g in _text(data, "auth-extra-groups").split(",") if g.startswith(GROUP + ":")]
    return User(f"system:bootstrap:{token_id}", frozenset({GROUP, "system:authenticated", *extra}))


def _text(data: ROObj | Mapping[str, str], name: str) -> str:
    try:
        return base64.b64decode(data.get(name) or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _is_expired(data: ROObj, now: datetime) -> bool:
    expiration = _text(data, "expiration")
    if not expiration:
        return False
    try:
        return times.parse_time(expiration) <= now
    except ValueError:
        return True
