"""Validation of security contexts, of a pod and of its containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minik.api.errors import Path, duplicate, invalid, not_supported, required
from minik.api.validation import Errors, enum

_ID_RANGE = "must be between 0 and 2147483647, inclusive"
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = f"^({_SYSCTL_SEGMENT}[\\./])*{_SYSCTL_SEGMENT}$"
_SYSCTL_RE = re.compile(_SYSCTL)
_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")


def _ids(errors: Errors, path: Path, context: Mapping[str, Any], *fields: str) -> None:
    for field in fields:
        number = context.get(field)
        if number is not None and not 0 <= number <= 2**31 - 1:
            errors.append(invalid(path.child(field), number, _ID_RANGE))


def local_descending_path(errors: Errors, path: Path, text: str) -> None:
    """A relative path without steps back."""
    if text.startswith("/"):
        errors.append(invalid(path, text, "must be a relative path"))
    no_backsteps(errors, path, text)


def no_backsteps(errors: Errors, path: Path, text: str) -> None:
    if ".." in text.split("/"):
        errors.append(invalid(path, text, "must not contain '..'"))


def _seccomp(errors: Errors, path: Path, profile: Mapping[str, Any] | None) -> None:
    if profile is None:
        return
    kind = profile.get("type") or ""
    if not kind:
        errors.append(required(path.child("type"), "type is required when seccompProfile is set"))
    elif kind not in _PROFILE_TYPES:
        errors.append(not_supported(path.child("type"), kind, _PROFILE_TYPES))
    local = profile.get("localhostProfile")
    at = path.child("localhostProfile")
    if kind == "Localhost":
        if local is None:
            errors.append(required(at, "must be set when seccomp type is Localhost"))
        else:
            local_descending_path(errors, at, local)
    elif local is not None:
        errors.append(invalid(at, profile, "can only be set when seccomp type is Localhost"))


def _app_armor(errors: Errors, path: Path, profile: Mapping[str, Any] | None) -> None:
    if profile is None:
        return
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    at = path.child("localhostProfile")
    if kind == "Localhost":
        if local is None or not local.strip():
            errors.append(required(at, "must be set when AppArmor type is Localhost"))
        elif local.strip() != local:
            errors.append(invalid(at, local, "must not be padded with whitespace"))
    elif kind in _PROFILE_TYPES:
        if local is not None:
            errors.append(invalid(at, local, "can only be set when AppArmor type is Localhost"))
    elif not kind:
        errors.append(required(path.child("type"), "type is required when appArmorProfile is set"))
    else:
        errors.append(not_supported(path.child("type"), kind, _PROFILE_TYPES))


def pod_security_context(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    """`spec.securityContext` (path) together with the host settings of the spec."""
    context = spec.get("securityContext")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid(path.child("shareProcessNamespace"), True, why))
    if not context:
        return
    _ids(errors, path, context, "fsGroup", "runAsUser", "runAsGroup")
    for number, group in enumerate(context.get("supplementalGroups") or ()):
        if not 0 <= group <= 2**31 - 1:
            errors.append(invalid(path.child("supplementalGroups").index(number), group, _ID_RANGE))
    _sysctls(errors, path.child("sysctls"), spec, context)
    enum(errors, path.child("fsGroupChangePolicy"), context.get("fsGroupChangePolicy"), ("Always", "OnRootMismatch"))
    enum(errors, path.child("supplementalGroupsPolicy"), context.get("supplementalGroupsPolicy"), ("Merge", "Strict"))
    enum(errors, path.child("seLinuxChangePolicy"), context.get("seLinuxChangePolicy"), ("MountOption", "Recursive"))
    _seccomp(errors, path.child("seccompProfile"), context.get("seccompProfile"))
    _app_armor(errors, path.child("appArmorProfile"), context.get("appArmorProfile"))


def _sysctls(errors: Errors, path: Path, spec: Mapping[str, Any], context: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for number, sysctl in enumerate(context.get("sysctls") or ()):
        at, name = path.index(number).child("name"), sysctl.get("name") or ""
        if not name:
            errors.append(required(at))
            continue
        if len(name) > 253 or not _SYSCTL_RE.fullmatch(name):
            errors.append(invalid(at, name, f"must have at most 253 characters and match regex {_SYSCTL}"))
        elif name in seen:
            errors.append(duplicate(at, name))
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            errors.append(invalid(at, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.get("hostIPC") and dotted.startswith(("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")):
            errors.append(invalid(at, name, "may not be specified when 'hostIPC' is true"))
        seen.add(name)


def container_security_context(
    errors: Errors, path: Path, context: Mapping[str, Any] | None, *, host_users: bool
) -> None:
    """core/v1 SecurityContext."""
    if not context:
        return
    _ids(errors, path, context, "runAsUser", "runAsGroup")
    proc = context.get("procMount")
    enum(errors, path.child("procMount"), proc, ("Default", "Unmasked"))
    if proc == "Unmasked" and host_users:
        errors.append(invalid(path.child("procMount"), proc, "`hostUsers` must be false to use `Unmasked`"))
    _seccomp(errors, path.child("seccompProfile"), context.get("seccompProfile"))
    _app_armor(errors, path.child("appArmorProfile"), context.get("appArmorProfile"))
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid(path, context, why))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(invalid(path, context, why))
