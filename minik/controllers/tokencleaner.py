"""Bootstrap tokens whose time is over are deleted, at that time.

kube-controller-manager's token-cleaner (`pkg/controller/bootstrap/tokencleaner.go`): Secrets of type `bootstrap.kubernetes.io/token` in
kube-system with an `expiration` in the past. One that does not say when it ends, or not so that it can be read, stays.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime

from minik.api import meta, times
from minik.api.core_v1.secret import BOOTSTRAP_TOKEN, type_of
from minik.api.errors import NotFound
from minik.api.meta import Key, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, maps, requeue_after

NAMESPACE = "kube-system"


def ends(secret: ROObj) -> datetime | None:
    """When the token expires; None: it does not say."""
    try:
        return times.parse_time(base64.b64decode((secret.get("data") or {}).get("expiration") or "").decode())
    except (ValueError, binascii.Error):
        return None


async def reconcile(ctx: Context, key: Key) -> Result:
    secret = ctx.cache("secrets").get(key)
    if secret is None or type_of(secret) != BOOTSTRAP_TOKEN or meta.is_deleting(secret):
        return DONE
    end = ends(secret)
    if end is None:
        return DONE
    left = (end - ctx.clock.now()).total_seconds()
    if left > 0:
        return requeue_after(left)
    try:
        await ctx.client.delete(
            "secrets", key.name, key.namespace, uid=meta.uid(secret),
            resource_version=secret["metadata"]["resourceVersion"],
        )  # fmt: skip
    except NotFound:
        return DONE
    return DONE


def _if_token(secret: ROObj) -> Iterable[Key]:
    is_token = meta.namespace(secret) == NAMESPACE and type_of(secret) == BOOTSTRAP_TOKEN
    return (meta.key(secret),) if is_token else ()


CONTROLLER = Controller(
    "token-cleaner",
    primary="",
    triggers=[maps("secrets", _if_token, when=lambda old, new: old.get("data") != new.get("data"))],
    reconcile=reconcile,
    workers=1,
    rbac=[can("delete", "secrets")],
)
