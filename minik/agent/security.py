"""A container's security context as the engine's `Security`. Pure.

Rules: kubelet `pkg/securitycontext` and `pkg/kubelet/kuberuntime/security_context.go` (verifyRunAsNonRoot). Without a seccomp
profile the engine's default one applies (Kubernetes: unconfined), because minik is safe by default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minik.agent.containers.base import ImageInfo, Security
from minik.agent.env import ConfigError
from minik.api import meta
from minik.api.meta import ROObj


def container_security(
    pod: ROObj,
    container: Mapping[str, Any],
    image: ImageInfo | None,
    *,
    read_profile: Callable[[str], str],
) -> Security:
    """`read_profile` gives the text of a Localhost seccomp profile. ConfigError where the context cannot be kept."""
    of_pod: Mapping[str, Any] = pod["spec"].get("securityContext") or {}
    own: Mapping[str, Any] = container.get("securityContext") or {}

    def effective(key: str) -> Any:
        return own[key] if own.get(key) is not None else of_pod.get(key)

    uid, gid = effective("runAsUser"), effective("runAsGroup")
    image_user = image.user if image is not None else ""
    if effective("runAsNonRoot"):
        verify_non_root(pod, container, uid, image_user)
    groups = [*(of_pod.get("supplementalGroups") or ())]
    if of_pod.get("fsGroup") is not None:
        groups.append(of_pod["fsGroup"])
    capabilities = own.get("capabilities") or {}
    return Security(
        user=_user(uid, gid, image_user),
        groups=tuple(dict.fromkeys(groups)),
        privileged=bool(own.get("privileged")),
        cap_add=tuple(capabilities.get("add") or ()),
        cap_drop=tuple(capabilities.get("drop") or ()),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        seccomp=_seccomp(effective("seccompProfile") or {}, read_profile),
        apparmor=_apparmor(effective("appArmorProfile") or {}),
    )


def _user(uid: int | None, gid: int | None, image_user: str) -> str:
    if uid is None and gid is None:
        return ""
    name = str(uid) if uid is not None else (image_user.partition(":")[0] or "0")
    return name if gid is None else f"{name}:{gid}"


def verify_non_root(pod: ROObj, container: Mapping[str, Any], uid: int | None, image_user: str) -> None:
    """runAsNonRoot. ConfigError in kubelet's words."""
    where = f'(pod: "{meta.name(pod)}_{meta.namespace(pod)}({meta.uid(pod)})", container: {container["name"]})'
    if uid is not None:
        if uid == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        return
    name = image_user.partition(":")[0]
    if name in ("", "0", "root"):
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
    if not name.isdigit():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {where}"
        )


def _seccomp(profile: Mapping[str, Any], read_profile: Callable[[str], str]) -> str:
    kind = profile.get("type")
    if kind == "Unconfined":
        return "unconfined"
    if kind == "Localhost":
        name = profile.get("localhostProfile") or ""
        try:
            return read_profile(name)
        except OSError as error:
            raise ConfigError(f"cannot load seccomp profile {name!r}: {error}") from error
    return ""


def _apparmor(profile: Mapping[str, Any]) -> str:
    kind = profile.get("type")
    if kind == "Unconfined":
        return "unconfined"
    return str(profile.get("localhostProfile") or "") if kind == "Localhost" else ""
