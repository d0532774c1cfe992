"""Validation of a pod's volumes and of what its containers mount (core validation, ValidateVolumes and ValidateVolumeMounts)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import quantity
from minik.api.errors import Path, duplicate, field_forbidden, field_not_found, invalid, not_supported, required
from minik.api.validation import Errors, check_name, enum
from minik.api.validation_names import config_key, dns_label, dns_subdomain, qualified_name
from minik.api.validation_security import local_descending_path, no_backsteps

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATH_TYPES = (
    "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice",
)  # fmt: skip
_RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip
_RESOURCE_PREFIXES = ("limits.hugepages-", "requests.hugepages-")
_BYTES = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
_DOWNWARD_LABELS = frozenset((
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork", "status.phase",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs", "spec.host", "status.nominatedNodeName",
))  # fmt: skip
ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")


def source_of(volume: Mapping[str, Any]) -> list[str]:
    """The names of the sources that a volume sets."""
    return [field for field, value in volume.items() if field != "name" and value is not None]


def volumes(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Check a list of core/v1 Volume; returns them by name."""
    found: dict[str, Mapping[str, Any]] = {}
    for number, volume in enumerate(values):
        at, name = path.index(number), volume.get("name") or ""
        _source(errors, at, volume)
        if not name:
            errors.append(required(at.child("name")))
        else:
            check_name(errors, at.child("name"), name, dns_label)
        if name in found:
            errors.append(duplicate(at.child("name"), name))
        if name:
            found[name] = volume
    return found


def _source(errors: Errors, path: Path, volume: Mapping[str, Any]) -> None:
    sources = source_of(volume)
    if not sources:
        errors.append(required(path, "must specify a volume type"))
        return
    for extra in sources[1:]:
        errors.append(field_forbidden(path.child(extra), "may not specify more than 1 volume type"))
    kind = sources[0]
    value, at = volume[kind], path.child(kind)
    match kind:
        case "emptyDir":
            limit = value.get("sizeLimit")
            if limit is not None and (not quantity.is_valid(limit) or quantity.parse(limit).nanos < 0):
                why = "SizeLimit field must be a valid resource quantity"
                errors.append(field_forbidden(at.child("sizeLimit"), why))
        case "hostPath":
            if not value.get("path"):
                errors.append(required(at.child("path")))
                return
            no_backsteps(errors, at.child("path"), value["path"])
            if value.get("type") is not None and value["type"] not in _HOST_PATH_TYPES:
                errors.append(not_supported(at.child("type"), value["type"], _HOST_PATH_TYPES))
        case "secret":
            _keyed(errors, at, value, "secretName")
        case "configMap":
            _keyed(errors, at, value, "name")
        case "persistentVolumeClaim":
            if not value.get("claimName"):
                errors.append(required(at.child("claimName")))
        case "nfs":
            for field in ("server", "path"):
                if not value.get(field):
                    errors.append(required(at.child(field)))
            if value.get("path") and not value["path"].startswith("/"):
                errors.append(invalid(at.child("path"), value["path"], "must be an absolute path"))
        case "downwardAPI":
            _mode(errors, at.child("defaultMode"), value.get("defaultMode"))
            for index, item in enumerate(value.get("items") or ()):
                _downward_file(errors, at.child("items").index(index), item)
        case "projected":
            _projected(errors, at, value)
        case "csi":
            if not value.get("driver"):
                errors.append(required(at.child("driver")))
        case "image":
            if not value.get("reference"):
                errors.append(required(at.child("reference")))
            enum(errors, at.child("pullPolicy"), value.get("pullPolicy"), ("Always", "IfNotPresent", "Never"))
        case "ephemeral":
            if value.get("volumeClaimTemplate") is None:
                errors.append(required(at.child("volumeClaimTemplate")))


def _mode(errors: Errors, path: Path, mode: int | None) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        errors.append(invalid(path, mode, _MODE))


def _keyed(errors: Errors, path: Path, source: Mapping[str, Any], name_field: str) -> None:
    if not source.get(name_field):
        errors.append(required(path.child(name_field)))
    _mode(errors, path.child("defaultMode"), source.get("defaultMode"))
    _items(errors, path.child("items"), source)


def _items(errors: Errors, path: Path, source: Mapping[str, Any]) -> None:
    for number, item in enumerate(source.get("items") or ()):
        at = path.index(number)
        if not item.get("key"):
            errors.append(required(at.child("key")))
        _file_path(errors, at.child("path"), item.get("path") or "")
        _mode(errors, at.child("mode"), item.get("mode"))


def _file_path(errors: Errors, path: Path, text: str) -> None:
    if not text:
        errors.append(required(path))
        return
    local_descending_path(errors, path, text)
    if text.startswith("..") and not text.startswith("../"):
        errors.append(invalid(path, text, "must not start with '..'"))


def _downward_file(errors: Errors, path: Path, item: Mapping[str, Any]) -> None:
    _file_path(errors, path.child("path"), item.get("path") or "")
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        field_reference(errors, path.child("fieldRef"), field, VOLUME_FIELDS)
        if resource is not None:
            why = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(invalid(path, "resource", why))
    elif resource is not None:
        resource_reference(errors, path.child("resourceFieldRef"), resource, needs_container=True)
    else:
        errors.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    _mode(errors, path.child("mode"), item.get("mode"))


def _projected(errors: Errors, path: Path, value: Mapping[str, Any]) -> None:
    _mode(errors, path.child("defaultMode"), value.get("defaultMode"))
    paths: set[str] = set()
    for number, source in enumerate(value.get("sources") or ()):
        at = path.child("sources").index(number)
        kinds = [kind for kind, content in source.items() if content is not None]
        if not kinds:
            errors.append(required(at, "must specify one projection type"))
            continue
        for extra in kinds[1:]:
            errors.append(field_forbidden(at.child(extra), "may not specify more than 1 volume type per source"))
        kind, content, here = kinds[0], source[kinds[0]], at.child(kinds[0])
        if kind in ("secret", "configMap"):
            _keyed(errors, here, content, "name")
            files = [item.get("path") or "" for item in content.get("items") or ()]
        elif kind == "downwardAPI":
            for index, item in enumerate(content.get("items") or ()):
                _downward_file(errors, here.child("items").index(index), item)
            files = [item.get("path") or "" for item in content.get("items") or ()]
        elif kind == "serviceAccountToken":
            _token(errors, here, content)
            files = [content.get("path") or ""]
        else:
            files = [content.get("path") or ""]
        for file in files:
            if file and file in paths:
                errors.append(invalid(path, file, "conflicting duplicate paths"))
            paths.add(file)


def _token(errors: Errors, path: Path, value: Mapping[str, Any]) -> None:
    seconds = value.get("expirationSeconds", 3600)
    if seconds < 600:
        why = "may not specify a duration less than 10 minutes"
        errors.append(invalid(path.child("expirationSeconds"), seconds, why))
    elif seconds > 1 << 32:
        why = "may not specify a duration larger than 2^32 seconds"
        errors.append(invalid(path.child("expirationSeconds"), seconds, why))
    _file_path(errors, path.child("path"), value.get("path") or "")


# --- references -----------------------------------------------------------------------------------------------------


def field_reference(errors: Errors, path: Path, value: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """core/v1 ObjectFieldSelector."""
    text = value.get("fieldPath") or ""
    if not text:
        errors.append(required(path.child("fieldPath")))
        return
    base, bracket, rest = text.partition("['")
    if bracket and rest.endswith("']"):
        subscript = rest[:-2]
        if base == "metadata.annotations":
            check_name(errors, path, subscript.lower(), qualified_name)
        elif base == "metadata.labels":
            check_name(errors, path, subscript, qualified_name)
        else:
            errors.append(invalid(path, base, "does not support subscript"))
    elif text not in _DOWNWARD_LABELS:
        why = f"error converting fieldPath: field label not supported: {text}"
        errors.append(invalid(path.child("fieldPath"), text, why))
    elif text not in allowed:
        errors.append(not_supported(path.child("fieldPath"), text, allowed))


def resource_reference(errors: Errors, path: Path, value: Mapping[str, Any], *, needs_container: bool = False) -> None:
    """core/v1 ResourceFieldSelector."""
    resource = value.get("resource") or ""
    if needs_container and not value.get("containerName"):
        errors.append(required(path.child("containerName")))
    elif not resource:
        errors.append(required(path.child("resource")))
    elif resource not in _RESOURCES and not resource.startswith(_RESOURCE_PREFIXES):
        errors.append(not_supported(path.child("resource"), resource, _RESOURCES))
    divisor = value.get("divisor")
    if divisor is None or not quantity.is_valid(divisor) or not quantity.parse(divisor):
        return
    written = quantity.canonical(divisor)
    if resource.endswith(".cpu"):
        if written not in ("1", "1m"):
            why = "only divisor's values 1m and 1 are supported with the cpu resource"
            errors.append(invalid(path.child("divisor"), resource, why))
    elif written not in _BYTES.split(", "):
        name = "memory" if resource.endswith(".memory") else "hugepages" if "hugepages-" in resource else ""
        why = f"only divisor's values {_BYTES} are supported with the {name or 'local ephemeral storage'} resource"
        errors.append(invalid(path.child("divisor"), resource, why))


def key_reference(errors: Errors, path: Path, value: Mapping[str, Any]) -> None:
    """core/v1 ConfigMapKeySelector and SecretKeySelector."""
    check_name(errors, path.child("name"), value.get("name") or "", dns_subdomain)
    key = value.get("key") or ""
    if not key:
        errors.append(required(path.child("key")))
    else:
        check_name(errors, path.child("key"), key, config_key)


# --- mounts ---------------------------------------------------------------------------------------------------------


def mounts(errors: Errors, path: Path, container: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> None:
    """A container's `volumeMounts` (path). `known`: the pod's volumes by name."""
    seen: set[str] = set()
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        at, name, target = path.index(number), mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            errors.append(required(at.child("name")))
        if name not in known:
            errors.append(field_not_found(at.child("name"), name))
        if not target:
            errors.append(required(at.child("mountPath")))
        if target in seen:
            errors.append(invalid(at.child("mountPath"), target, "must be unique"))
        seen.add(target)
        sub, expression = mount.get("subPath") or "", mount.get("subPathExpr") or ""
        if sub:
            local_descending_path(errors, path.child("subPath"), sub)
        if expression:
            if sub:
                why = "subPathExpr and subPath are mutually exclusive"
                errors.append(invalid(at.child("subPathExpr"), expression, why))
            local_descending_path(errors, path.child("subPathExpr"), expression)
        _propagation(errors, path, container, mount)


def _propagation(errors: Errors, path: Path, container: Mapping[str, Any], mount: Mapping[str, Any]) -> None:
    propagation = mount.get("mountPropagation")
    at = path.child("mountPropagation")
    enum(errors, at, propagation, ("Bidirectional", "HostToContainer", "None"))
    if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        why = "Bidirectional mount propagation is available only to privileged containers"
        errors.append(field_forbidden(at, why))
    recursive = mount.get("recursiveReadOnly")
    at = path.child("recursiveReadOnly")
    enum(errors, at, recursive, ("Disabled", "Enabled", "IfPossible"))
    if recursive in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            errors.append(field_forbidden(at, "may only be specified when readOnly is true"))
        if propagation not in (None, "None"):
            why = "may only be specified when mountPropagation is None or not specified"
            errors.append(field_forbidden(at, why))


def devices(errors: Errors, path: Path, container: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> None:
    """A container's `volumeDevices` (path)."""
    names: set[str] = set()
    for number, device in enumerate(container.get("volumeDevices") or ()):
        at, name = path.index(number), device.get("name") or ""
        if not name:
            errors.append(required(at.child("name")))
        if name in names:
            errors.append(invalid(at.child("name"), name, "must be unique"))
        names.add(name)
        volume = known.get(name)
        if volume is None:
            errors.append(field_not_found(at.child("name"), name))
        elif not {"persistentVolumeClaim", "ephemeral"} & volume.keys():
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(invalid(at.child("name"), name, why))
        if not device.get("devicePath"):
            errors.append(required(at.child("devicePath")))
        elif ".." in device["devicePath"].split("/"):
            why = "can not contain backsteps ('..')"
            errors.append(invalid(at.child("devicePath"), device["devicePath"], why))
