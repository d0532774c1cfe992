"""A container's environment, command and arguments: values, references, expansion. Pure.

`act.py` fetches what `references` names, then calls `environment`. Rules: kubelet's makeEnvironmentVariables,
`third_party/forked/golang/expansion` and `pkg/kubelet/envvars`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from minik.agent.fields import FieldError, PodFacts, field_value, resource_value
from minik.api import meta
from minik.api.meta import ROObj

CONFIG_MAPS, SECRETS = "configmaps", "secrets"


class ConfigError(Exception):
    """The container's configuration cannot be made: CreateContainerConfigError. The message is for a person."""


class Reference(NamedTuple):
    """A ConfigMap or Secret of the pod's namespace."""

    resource: str
    name: str


def references(container: Mapping[str, Any]) -> set[Reference]:
    """The ConfigMaps and Secrets that the environment of `container` reads."""
    found: set[Reference] = set()
    for source in container.get("envFrom") or ():
        found |= _references(source, "configMapRef", "secretRef")
    for entry in container.get("env") or ():
        found |= _references(entry.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef")
    return found


def _references(source: Mapping[str, Any], config_map: str, secret: str) -> set[Reference]:
    pairs = ((CONFIG_MAPS, source.get(config_map)), (SECRETS, source.get(secret)))
    return {Reference(resource, ref["name"]) for resource, ref in pairs if ref and ref.get("name")}


def data_of(obj: ROObj) -> dict[str, bytes]:
    """The payload of a ConfigMap (data, binaryData) or a Secret (data)."""
    is_secret = obj.get("kind") == "Secret" or "type" in obj
    data: dict[str, bytes] = {}
    for key, value in (obj.get("data") or {}).items():
        data[key] = _decode(value) if is_secret else value.encode()
    for key, value in (obj.get("binaryData") or {}).items():
        data[key] = _decode(value)
    for key, value in (obj.get("stringData") or {}).items():
        data[key] = value.encode()
    return data


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def expand(text: str, *tables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value and `$$` by `$`; a reference that nothing answers stays as it is."""
    if "$" not in text:
        return text
    out: list[str] = []
    i = 0
    while i < len(text):
        char = text[i]
        if char != "$" or i + 1 == len(text):
            out.append(char)
            i += 1
        elif text[i + 1] == "$":
            out.append("$")
            i += 2
        elif text[i + 1] == "(" and (end := text.find(")", i + 2)) != -1:
            name = text[i + 2 : end]
            value = next((table[name] for table in tables if name in table), None)
            out.append(f"$({name})" if value is None else value)
            i = end + 1
        elif text[i + 1] == "(":
            out.append("$(")
            i += 2
        else:
            out.append(text[i : i + 2])
            i += 2
    return "".join(out)


def service_environment(services: Iterable[ROObj], namespace: str, *, links: bool) -> dict[str, str]:
    """`KUBERNETES_SERVICE_*`, and with `links` those of every service of `namespace` that has a cluster IP."""
    env: dict[str, str] = {}
    for service in sorted(services, key=meta.key):
        spec = service["spec"]
        address = spec.get("clusterIP") or "None"
        is_master = meta.key(service) == ("default", "kubernetes")
        if address == "None" or not (is_master or (links and meta.namespace(service) == namespace)):
            continue
        ports = spec.get("ports") or ()
        if not ports:
            continue
        prefix = meta.name(service).replace("-", "_").upper()
        env[f"{prefix}_SERVICE_HOST"] = address
        env[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                env[f"{prefix}_SERVICE_PORT_{re.sub('-', '_', port['name']).upper()}"] = str(port["port"])
        env.update(_link_variables(prefix, address, ports))
    return env


def _link_variables(prefix: str, address: str, ports: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    env: dict[str, str] = {}
    for number, port in enumerate(ports):
        protocol = port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{address}:{port['port']}"
        if number == 0:
            env[f"{prefix}_PORT"] = url
        each = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        env[each] = url
        env[f"{each}_PROTO"] = protocol.lower()
        env[f"{each}_PORT"] = str(port["port"])
        env[f"{each}_ADDR"] = address
    return env


def environment(
    pod: ROObj,
    container: Mapping[str, Any],
    *,
    found: Mapping[Reference, ROObj],
    services: Mapping[str, str],
    facts: PodFacts,
) -> list[tuple[str, str]]:
    """The environment of `container` in order. `found` answers `references`; `services` is `service_environment`.

    ConfigError when something that is not optional is missing.
    """
    env: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        env.update(_env_from(pod, source, found))
    for entry in container.get("env") or ():
        name = entry["name"]
        value_from = entry.get("valueFrom")
        if value_from:
            value = _value_from(pod, container, value_from, found, facts)
            if value is None:
                continue
        else:
            value = expand(entry.get("value") or "", env, services)
        env[name] = value
    for name, value in services.items():
        env.setdefault(name, value)
    return list(env.items())


def _env_from(pod: ROObj, source: Mapping[str, Any], found: Mapping[Reference, ROObj]) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for key, resource in (("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)):
        ref = source.get(key)
        if not ref:
            continue
        obj = _object(pod, Reference(resource, ref.get("name", "")), ref, found)
        if obj is None:
            return {}
        return {f"{prefix}{k}": v.decode(errors="replace") for k, v in data_of(obj).items() if "=" not in k}
    return {}


def _object(pod: ROObj, reference: Reference, ref: Mapping[str, Any], found: Mapping[Reference, ROObj]) -> ROObj | None:
    obj = found.get(reference)
    if obj is None and not ref.get("optional"):
        raise ConfigError(f'{_kind(reference).lower()} "{reference.name}" not found')
    return obj


def _kind(reference: Reference) -> str:
    return "ConfigMap" if reference.resource == CONFIG_MAPS else "Secret"


def _value_from(
    pod: ROObj,
    container: Mapping[str, Any],
    source: Mapping[str, Any],
    found: Mapping[Reference, ROObj],
    facts: PodFacts,
) -> str | None:
    try:
        if ref := source.get("fieldRef"):
            return field_value(pod, ref["fieldPath"], facts)
        if ref := source.get("resourceFieldRef"):
            return resource_value(pod, container, ref, facts)
    except FieldError as error:
        raise ConfigError(str(error)) from error
    for key, resource in (("configMapKeyRef", CONFIG_MAPS), ("secretKeyRef", SECRETS)):
        if ref := source.get(key):
            reference = Reference(resource, ref.get("name", ""))
            obj = _object(pod, reference, ref, found)
            if obj is None:
                return None
            value = data_of(obj).get(ref["key"])
            if value is None:
                if ref.get("optional"):
                    return None
                where = f"{meta.namespace(pod)}/{reference.name}"
                raise ConfigError(f"couldn't find key {ref['key']} in {_kind(reference)} {where}")
            return value.decode(errors="replace")
    raise ConfigError("valueFrom names no source that this node knows")
