"""Validation of a pod's containers: regular, init (sidecars among them) and ephemeral ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api.errors import Path, duplicate, field_forbidden, field_not_found, invalid, not_supported, required
from minik.api.validation import Errors, check_name, enum
from minik.api.validation_names import dns_label, dns_subdomain, env_name, port_name, port_number
from minik.api.validation_probes import probes_and_hooks
from minik.api.validation_resources import resource_requirements
from minik.api.validation_security import container_security_context
from minik.api.validation_volumes import (
    ENV_FIELDS,
    devices,
    field_reference,
    key_reference,
    mounts,
    resource_reference,
)

PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_EPHEMERAL_FORBIDDEN = (
    "ports", "resources", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "restartPolicy",
    "resizePolicy",
)  # fmt: skip
_ONLY_SIDECARS = "may not be set for init containers without restartPolicy=Always"
_NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"


@dataclass(frozen=True, slots=True)
class PodContext:
    """What the checks of one container need to know of its pod."""

    volumes: Mapping[str, Mapping[str, Any]]
    claims: Collection[str]
    grace: int | None
    restart_policy: str
    host_users: bool
    is_pod: bool
    """False for a pod template."""


def containers(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]], pod: PodContext) -> None:
    """`spec.containers` (path)."""
    if not values:
        errors.append(required(path))
        return
    names: set[str] = set()
    for number, container in enumerate(values):
        at, name = path.index(number), container.get("name") or ""
        _common(errors, at, container, pod)
        if name in names:
            errors.append(duplicate(at.child("name"), name))
        names.add(name)
        probes_and_hooks(errors, at, container, pod.grace)
        enum(errors, at.child("restartPolicy"), container.get("restartPolicy"), ("Always", "Never", "OnFailure"))
    _host_ports(errors, path, values)


def init_containers(
    errors: Errors,
    path: Path,
    values: Sequence[Mapping[str, Any]],
    regular: Sequence[Mapping[str, Any]],
    pod: PodContext,
) -> None:
    """`spec.initContainers` (path)."""
    names = {container.get("name") or "" for container in regular}
    for number, container in enumerate(values):
        at, name = path.index(number), container.get("name") or ""
        _common(errors, at, container, pod)
        enum(errors, at.child("restartPolicy"), container.get("restartPolicy"), ("Always", "Never", "OnFailure"))
        if name in names:
            errors.append(duplicate(at.child("name"), name))
        elif name:
            names.add(name)
        _host_ports(errors, path, (container,))
        if container.get("restartPolicy") == "Always":
            probes_and_hooks(errors, at, container, pod.grace)
            continue
        for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if container.get(field) is not None:
                errors.append(field_forbidden(at.child(field), _ONLY_SIDECARS))


def ephemeral_containers(errors: Errors, path: Path, spec: Mapping[str, Any], pod: PodContext) -> None:
    """`spec.ephemeralContainers` (path)."""
    others = {c.get("name") or "" for field in ("containers", "initContainers") for c in spec.get(field) or ()}
    names = set(others)
    for number, container in enumerate(spec.get("ephemeralContainers") or ()):
        at, name = path.index(number), container.get("name") or ""
        _common(errors, at, container, pod)
        if name in names:
            errors.append(duplicate(at.child("name"), name))
        names.add(name)
        target = container.get("targetContainerName")
        if target and target not in others:
            errors.append(field_not_found(at.child("targetContainerName"), target))
        for field in _EPHEMERAL_FORBIDDEN:
            if container.get(field):
                errors.append(field_forbidden(at.child(field), _NOT_EPHEMERAL))
        for index, mount in enumerate(container.get("volumeMounts") or ()):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    here = at.child("volumeMounts").index(index).child(field)
                    errors.append(field_forbidden(here, _NOT_EPHEMERAL))


def _common(errors: Errors, path: Path, container: Mapping[str, Any], pod: PodContext) -> None:
    name, image = container.get("name") or "", container.get("image") or ""
    if not name:
        errors.append(required(path.child("name")))
    else:
        check_name(errors, path.child("name"), name, dns_label)
    if not image:
        errors.append(required(path.child("image")))
    elif pod.is_pod and image != image.strip():
        errors.append(invalid(path.child("image"), image, "must not have leading or trailing whitespace"))
    enum(
        errors, path.child("terminationMessagePolicy"), container.get("terminationMessagePolicy"),
        ("FallbackToLogsOnError", "File"),
    )  # fmt: skip
    if container.get("ports"):
        _ports(errors, path.child("ports"), container["ports"])
    if container.get("env"):
        _env(errors, path.child("env"), container["env"])
    if container.get("envFrom"):
        _env_from(errors, path.child("envFrom"), container["envFrom"])
    if container.get("volumeMounts"):
        mounts(errors, path.child("volumeMounts"), container, pod.volumes)
    if container.get("volumeDevices"):
        devices(errors, path.child("volumeDevices"), container, pod.volumes)
    enum(errors, path.child("imagePullPolicy"), container.get("imagePullPolicy"), PULL_POLICIES)
    if container.get("resources"):
        resource_requirements(errors, path.child("resources"), container["resources"], pod.claims)
    if container.get("resizePolicy"):
        _resize_policy(errors, path.child("resizePolicy"), container["resizePolicy"], pod.restart_policy)
    container_security_context(
        errors, path.child("securityContext"), container.get("securityContext"), host_users=pod.host_users
    )


def _ports(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    names: set[str] = set()
    for number, port in enumerate(values):
        at, name = path.index(number), port.get("name") or ""
        if name:
            problems = port_name(name)
            if problems:
                errors += (invalid(at.child("name"), name, problem) for problem in problems)
            elif name in names:
                errors.append(duplicate(at.child("name"), name))
            names.add(name)
        container_port = port.get("containerPort") or 0
        if not container_port:
            errors.append(required(at.child("containerPort")))
        else:
            errors += (invalid(at.child("containerPort"), container_port, p) for p in port_number(container_port))
        host_port = port.get("hostPort") or 0
        if host_port:
            errors += (invalid(at.child("hostPort"), host_port, problem) for problem in port_number(host_port))
        enum(errors, at.child("protocol"), port.get("protocol"), PROTOCOLS)


def _host_ports(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for number, container in enumerate(values):
        for index, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            taken = f"{port.get('protocol', 'TCP')}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if taken in seen:
                errors.append(duplicate(path.index(number).child("ports").index(index).child("hostPort"), taken))
            seen.add(taken)


def _env(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    for number, variable in enumerate(values):
        name = variable.get("name") or ""
        if not name:
            errors.append(required(path.index(number).child("name")))
        else:
            problems = env_name(name)
            if problems:
                errors += (invalid(path.index(number).child("name"), name, problem) for problem in problems)
        if variable.get("valueFrom") is not None:
            _value_from(errors, path.index(number).child("valueFrom"), variable)


def _value_from(errors: Errors, path: Path, variable: Mapping[str, Any]) -> None:
    source = variable["valueFrom"]
    given = [field for field, value in source.items() if value is not None]
    if "fieldRef" in given:
        field_reference(errors, path.child("fieldRef"), source["fieldRef"], ENV_FIELDS)
    if "resourceFieldRef" in given:
        resource_reference(errors, path.child("resourceFieldRef"), source["resourceFieldRef"])
    for field in ("configMapKeyRef", "secretKeyRef"):
        if field in given:
            key_reference(errors, path.child(field), source[field])
    if not given:
        why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        errors.append(invalid(path, "", why))
    elif variable.get("value"):
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        errors.append(invalid(path, "", "may not have more than one field specified at a time"))


def _env_from(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    for number, source in enumerate(values):
        at = path.index(number)
        if source.get("prefix"):
            check_name(errors, at.child("prefix"), source["prefix"], env_name)
        given = [field for field in ("configMapRef", "secretRef") if source.get(field) is not None]
        for field in given:
            name = source[field].get("name") or ""
            if not name:
                errors.append(required(at.child(field, "name")))
            else:
                check_name(errors, at.child(field, "name"), name, dns_subdomain)
        if not given:
            errors.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            errors.append(invalid(path, "", "may not have more than one field specified at a time"))


def _resize_policy(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]], restart_policy: str) -> None:
    seen: set[str] = set()
    for number, policy in enumerate(values):
        resource, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if resource in seen:
            errors.append(duplicate(path.index(number), resource))
        seen.add(resource)
        enum(errors, path, resource, ("cpu", "memory"), optional=False)
        enum(errors, path, restart, ("NotRequired", "RestartContainer"), optional=False)
        if restart_policy == "Never" and restart != "NotRequired":
            errors.append(invalid(path, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'"))


def host_network_ports(errors: Errors, path: Path, spec: Mapping[str, Any], *, is_pod: bool) -> None:
    """With `hostNetwork`, a host port is the container's port. A template may leave it out."""
    if not spec.get("hostNetwork"):
        return
    for number, container in enumerate(spec.get("containers") or ()):
        for index, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort") or 0
            if (is_pod or host) and host != port.get("containerPort"):
                at = path.child("containers").index(number).child("ports").index(index).child("hostPort")
                errors.append(invalid(at, host, "must match `containerPort` when `hostNetwork` is true"))


def restart_policy(errors: Errors, path: Path, value: str | None) -> None:
    if value and value not in ("Always", "OnFailure", "Never"):
        errors.append(not_supported(path, value, ("Always", "Never", "OnFailure")))
