"""ServiceAccount: every pod runs as one that exists, and finds a token for it in a projected volume.

Source: kubernetes `plugin/pkg/admission/serviceaccount`. On purpose different: the volume's name ends in five characters made from the
account's name, not in random ones. So pods of one template have equal specs, which are checked once and held once.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

from minik.api import errors, meta
from minik.api.meta import Obj
from minik.server.core import Attributes, Core

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_PREFIX = "kube-api-access-"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Those of generated names (k8s.io/apimachinery rand.String)."""
_EXPIRATION = 3607
"""Seconds: an hour, and seven by which this default is told from an asked-for hour (WarnOnlyBoundTokenExpirationPeriod)."""
_MIRROR = "kubernetes.io/config.mirror"
_TRIES = 10
_TRY_SECONDS = 0.1


def admit_service_account(core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.resource != "pods" or attributes.verb != "create" or attributes.subresource:
        return
    spec = draft.get("spec")
    if not isinstance(spec, dict):
        return
    if _MIRROR in (draft["metadata"].get("annotations") or {}):
        return
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = name
    spec["serviceAccount"] = name
    entry = core.cache.get(f"serviceaccounts/{attributes.namespace}/{name}")
    if entry is None:
        why = f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found'
        raise errors.forbidden("pods", "", attributes.name, why)
    account = entry.obj
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(s) for s in account["imagePullSecrets"]]
    mount = spec.get("automountServiceAccountToken")
    if mount is None:
        mount = account.get("automountServiceAccountToken")
    if mount is not False:
        _mount_token(spec, name)


async def default_account_comes(core: Core, draft: Obj, namespace: str) -> None:
    """A namespace that has just been made gets its account `default` in a moment: so long, at most a second, its first pod waits."""
    key = f"serviceaccounts/{namespace}/default"
    if ((draft.get("spec") or {}).get("serviceAccountName") or "default") != "default":
        return
    for _ in range(_TRIES):
        if core.cache.get(key) is not None or not _is_active(core, namespace):
            return
        await core.clock.sleep(_TRY_SECONDS)


def _is_active(core: Core, namespace: str) -> bool:
    entry = core.cache.get(f"namespaces//{namespace}")
    return entry is not None and not meta.is_deleting(entry.obj)


def _mount_token(spec: Obj, account: str) -> None:
    volumes = spec.get("volumes") or []
    existing = next((v for v in volumes if _is_token_volume(v)), None)
    name = existing["name"] if existing else _volume_name(account, {v.get("name") for v in volumes})
    mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
    needed = False
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts") or []
            if not any(m.get("mountPath") == MOUNT_PATH for m in mounts):
                container["volumeMounts"] = [*mounts, dict(mount)]
                needed = True
    if needed and existing is None:
        spec["volumes"] = [*volumes, token_volume(name)]


def _volume_name(account: str, taken: set[str]) -> str:
    """A name that the pod's own volumes do not have."""
    number = 0
    while (name := _PREFIX + _suffix(account, number)) in taken:
        number += 1
    return name


@lru_cache(maxsize=1024)
def _suffix(account: str, number: int) -> str:
    digest = blake2b(f"{account}/{number}".encode(), digest_size=5).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest)


def _is_token_volume(volume: Obj) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return str(volume.get("name", "")).startswith(_PREFIX) and any("serviceAccountToken" in s for s in sources)


def token_volume(name: str) -> dict[str, Any]:
    """The projected volume with the token, the cluster's CA and the namespace (serviceaccount.TokenVolumeSource)."""
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": _EXPIRATION}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
            ],
        },
    }
