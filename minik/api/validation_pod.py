"""Validation of pods and pod templates; the subjects are in `validation_{containers,volumes,probes,resources,security,scheduling}.py`.

Called by the kinds that hold a pod spec and by the server's pod subresources. What the tables always fill in (restartPolicy,
dnsPolicy, …) may be absent here and is then taken as defaulted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from minik.api.errors import Path, duplicate, field_forbidden, invalid, not_supported, required
from minik.api.meta import ROObj
from minik.api.validation import Errors, annotation_map, check_name, enum, labels
from minik.api.validation_containers import (
    PodContext,
    containers,
    ephemeral_containers,
    host_network_ports,
    init_containers,
    restart_policy,
)
from minik.api.validation_names import dns_label, dns_subdomain, ip, qualified_name
from minik.api.validation_resources import pod_resources, resource_requirements
from minik.api.validation_scheduling import affinity, tolerations, topology_spread
from minik.api.validation_security import pod_security_context
from minik.api.validation_volumes import volumes

SPEC = Path("spec")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_MAX_INT32 = 2**31 - 1


_sound: dict[bytes, None] = {}
"""Specs in which nothing was wrong, as JSON: pods of one template come by the thousand."""
_SOUND_COUNT = 512
_SOUND_BYTES = 16 * 1024


def validate_pod(pod: ROObj) -> Errors:
    """What holds for a pod at any time (its metadata excepted)."""
    spec = pod.get("spec") or {}
    text = orjson.dumps(spec)
    if text in _sound:
        return []
    errors: Errors = []
    pod_spec(errors, SPEC, spec, is_pod=True)
    if not errors and len(text) <= _SOUND_BYTES:
        if len(_sound) >= _SOUND_COUNT:
            _sound.clear()
        _sound[text] = None
    return errors


def validate_pod_create(pod: ROObj) -> Errors:
    """What holds for a new pod only; to be added to `validate_pod`."""
    errors: Errors = []
    spec = pod.get("spec") or {}
    if spec.get("ephemeralContainers"):
        errors.append(field_forbidden(SPEC.child("ephemeralContainers"), "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        why = "cannot be set until all schedulingGates have been cleared"
        errors.append(field_forbidden(SPEC.child("nodeName"), why))
    return errors


def pod_template(errors: Errors, path: Path, template: Mapping[str, Any]) -> None:
    """core/v1 PodTemplateSpec."""
    metadata = template.get("metadata") or {}
    if metadata.get("labels"):
        labels(errors, path.child("labels"), metadata["labels"])
    if metadata.get("annotations"):
        annotation_map(errors, path.child("annotations"), metadata["annotations"])
    spec = template.get("spec") or {}
    pod_spec(errors, path.child("spec"), spec, is_pod=False)
    if spec.get("ephemeralContainers"):
        why = "ephemeral containers not allowed in pod template"
        errors.append(field_forbidden(path.child("spec", "ephemeralContainers"), why))


def pod_spec(errors: Errors, path: Path, spec: Mapping[str, Any], *, is_pod: bool) -> None:
    """core/v1 PodSpec."""
    known = volumes(errors, path.child("volumes"), spec.get("volumes") or ())
    claims = _resource_claims(errors, path.child("resourceClaims"), spec)
    context = PodContext(
        volumes=known,
        claims=claims,
        grace=spec.get("terminationGracePeriodSeconds"),
        restart_policy=spec.get("restartPolicy") or "Always",
        host_users=spec.get("hostUsers") is not False,
        is_pod=is_pod,
    )
    regular = spec.get("containers") or ()
    containers(errors, path.child("containers"), regular, context)
    if spec.get("initContainers"):
        init_containers(errors, path.child("initContainers"), spec["initContainers"], regular, context)
    if spec.get("ephemeralContainers"):
        ephemeral_containers(errors, path.child("ephemeralContainers"), spec, context)
    pod_resources(errors, path.child("resources"), spec.get("resources"))
    host_network_ports(errors, path, spec, is_pod=is_pod)
    restart_policy(errors, path.child("restartPolicy"), spec.get("restartPolicy"))
    enum(errors, path.child("dnsPolicy"), spec.get("dnsPolicy"), _DNS_POLICIES)
    if spec.get("nodeSelector"):
        labels(errors, path.child("nodeSelector"), spec["nodeSelector"])
    pod_security_context(errors, path.child("securityContext"), spec)
    affinity(errors, path.child("affinity"), spec.get("affinity"))
    _dns_config(errors, path.child("dnsConfig"), spec)
    _gates(errors, path, spec)
    if spec.get("topologySpreadConstraints"):
        topology_spread(errors, path.child("topologySpreadConstraints"), spec["topologySpreadConstraints"])
    _host_users(errors, path, spec)
    _names(errors, path, spec)
    if spec.get("tolerations"):
        tolerations(errors, path.child("tolerations"), spec["tolerations"])
    _host_aliases(errors, path.child("hostAliases"), spec)
    _numbers(errors, path, spec)
    enum(errors, path.child("preemptionPolicy"), spec.get("preemptionPolicy"), ("Never", "PreemptLowerPriority"))
    if spec.get("overhead"):
        resource_requirements(errors, path.child("overhead"), {"limits": spec["overhead"]})
    if spec.get("os") is not None:
        _os(errors, path.child("os", "name"), spec["os"].get("name") or "")


def _resource_claims(errors: Errors, path: Path, spec: Mapping[str, Any]) -> set[str]:
    names: set[str] = set()
    for number, claim in enumerate(spec.get("resourceClaims") or ()):
        at, name = path.index(number), claim.get("name") or ""
        if not name:
            errors.append(required(at.child("name")))
        elif name in names:
            errors.append(duplicate(at.child("name"), name))
        else:
            check_name(errors, at.child("name"), name, dns_label)
            names.add(name)
        direct, template = claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName")
        if direct is not None and template is not None:
            why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.append(invalid(at, claim, why))
        if direct is None and template is None:
            why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            errors.append(invalid(at, claim, why))
        for field in ("resourceClaimName", "resourceClaimTemplateName"):
            if claim.get(field) is not None:
                check_name(errors, at.child(field), claim[field], dns_subdomain)
    return names


def _dns_config(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            errors.append(required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
        elif not config.get("nameservers"):
            why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            errors.append(required(path.child("nameservers"), why))
    if not config:
        return
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if len(servers) > 3:
        errors.append(invalid(path.child("nameservers"), servers, "must not have more than 3 nameservers"))
    for number, server in enumerate(servers):
        check_name(errors, path.child("nameservers").index(number), server, ip)
    if len(searches) > 32:
        errors.append(invalid(path.child("searches"), searches, "must not have more than 32 search paths"))
    if len(" ".join(searches)) > 2048:
        why = "must not have more than 2048 characters (including spaces) in the search list"
        errors.append(invalid(path.child("searches"), searches, why))
    for number, search in enumerate(searches):
        if search != ".":
            plain = search.removesuffix(".")
            if dns_subdomain(plain.replace("_", "a")):
                check_name(errors, path.child("searches").index(number), plain, dns_subdomain)
    for number, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.append(required(path.child("options").index(number), "must not be empty"))


def _gates(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    for number, gate in enumerate(spec.get("readinessGates") or ()):
        at = path.child("readinessGates").index(number).child("conditionType")
        check_name(errors, at, gate.get("conditionType") or "", qualified_name)
    seen: set[str] = set()
    for number, gate in enumerate(spec.get("schedulingGates") or ()):
        at, name = path.child("schedulingGates").index(number), gate.get("name") or ""
        check_name(errors, at, name, qualified_name)
        if name in seen:
            errors.append(duplicate(at, name))
        seen.add(name)


def _host_users(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    if spec.get("hostUsers") is not False:
        return
    for field, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(field):
            errors.append(field_forbidden(path.child(shown), "when `pod.Spec.HostUsers` is false"))


def _names(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    for field in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        if spec.get(field):
            check_name(errors, path.child(field), spec[field], dns_subdomain)
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            check_name(errors, path.child(field), spec[field], dns_label)


def _host_aliases(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    for number, alias in enumerate(spec.get("hostAliases") or ()):
        check_name(errors, path.index(number).child("ip"), alias.get("ip") or "", ip)
        for index, host in enumerate(alias.get("hostnames") or ()):
            check_name(errors, path.index(number).child("hostnames").index(index), host, dns_subdomain)


def _numbers(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_INT32:
        why = f"must be between 1 and {_MAX_INT32}, inclusive"
        errors.append(invalid(path.child("activeDeadlineSeconds"), deadline, why))


def _os(errors: Errors, path: Path, name: str) -> None:
    if not name:
        errors.append(required(path, "cannot be empty"))
    elif name not in ("linux", "windows"):
        errors.append(not_supported(path, name, ("linux", "windows")))


def validate_binding(binding: ROObj) -> Errors:
    """core/v1 Binding of a pod to a node."""
    errors: Errors = []
    target = binding.get("target") or {}
    if target.get("kind") and target["kind"] != "Node":
        errors.append(not_supported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        errors.append(required("target.name"))
    return errors
