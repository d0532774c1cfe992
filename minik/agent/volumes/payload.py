"""The files of configMap, secret, downwardAPI and projected volumes. Pure.

Called by `volumes/manager.py` with the objects already fetched. Rules: kubelet `pkg/volume/{configmap,secret,downwardapi,projected}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.agent.env import CONFIG_MAPS, SECRETS, Reference, data_of
from minik.agent.fields import FieldError, PodFacts, field_value, resource_value
from minik.api.meta import ROObj

DEFAULT_MODE = 0o644


class VolumeError(Exception):
    """A volume that cannot be made now. The message is for a person and for the FailedMount event."""


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    mode: int = DEFAULT_MODE


Payload = dict[str, File]
"""By path inside the volume."""


@dataclass(frozen=True, slots=True)
class TokenRef:
    """A service account token that the volume wants, and the audience and life time (seconds) it asks for."""

    path: str
    audience: str = ""
    seconds: int = 3600
    mode: int = DEFAULT_MODE


def is_projection(volume: Mapping[str, Any]) -> bool:
    return any(volume.get(kind) is not None for kind in ("configMap", "secret", "downwardAPI", "projected"))


def references(volume: Mapping[str, Any]) -> set[Reference]:
    """The ConfigMaps and Secrets a volume shows."""
    found: set[Reference] = set()
    for kind, source, _ in _sources(volume):
        if kind == "configMap" and source.get("name"):
            found.add(Reference(CONFIG_MAPS, source["name"]))
        elif kind == "secret" and (source.get("name") or source.get("secretName")):
            found.add(Reference(SECRETS, source.get("secretName") or source["name"]))
    return found


def token_refs(volume: Mapping[str, Any]) -> list[TokenRef]:
    """The service account tokens a projected volume shows."""
    return [
        TokenRef(
            source["path"], source.get("audience") or "", source.get("expirationSeconds") or 3600, mode or DEFAULT_MODE
        )
        for kind, source, mode in _sources(volume)
        if kind == "serviceAccountToken"
    ]


def shown_of(pod: ROObj) -> list[Any]:
    """What the pod's volumes show of the pod itself and what may change while it runs: labels, annotations, resources."""
    paths: set[str] = set()
    for volume in pod["spec"].get("volumes") or ():
        for kind, source, _ in _sources(volume):
            if kind == "downwardAPI":
                for item in source.get("items") or ():
                    paths.add(((item.get("fieldRef") or {}).get("fieldPath") or "resources").partition("[")[0])
    shown = [pod["metadata"].get(name) for name in ("labels", "annotations") if f"metadata.{name}" in paths]
    if "resources" in paths:
        spec = pod["spec"]
        shown.append([c.get("resources") for c in (*spec["containers"], *(spec.get("initContainers") or ()))])
    return shown


def _sources(volume: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], int | None]]:
    """(kind, source, default mode) of a projection; of a projected volume each of its sources."""
    for kind in ("configMap", "secret", "downwardAPI"):
        source = volume.get(kind)
        if source is not None:
            return [(kind, source, source.get("defaultMode"))]
    projected = volume.get("projected") or {}
    mode = projected.get("defaultMode")
    return [
        (kind, part, mode)
        for source in projected.get("sources") or ()
        for kind, part in source.items()
        if part is not None
    ]


def payload(
    pod: ROObj,
    volume: Mapping[str, Any],
    *,
    found: Mapping[Reference, ROObj],
    tokens: Mapping[str, str],
    facts: PodFacts,
) -> Payload:
    """What the volume holds. `found` answers `references`; `tokens` by path. VolumeError when something is missing."""
    files: Payload = {}
    for kind, source, default in _sources(volume):
        mode = DEFAULT_MODE if default is None else default
        if kind in ("configMap", "secret"):
            files.update(_of_object(pod, kind, source, mode, found))
        elif kind == "downwardAPI":
            files.update(_of_fields(pod, source.get("items") or (), mode, facts))
        elif kind == "serviceAccountToken":
            files[source["path"]] = File(tokens[source["path"]].encode(), mode)
        elif not source.get("optional"):
            raise VolumeError(f"volume {volume['name']!r}: this node cannot project {kind}")
    return files


def _of_object(
    pod: ROObj, kind: str, source: Mapping[str, Any], mode: int, found: Mapping[Reference, ROObj]
) -> Payload:
    is_map = kind == "configMap"
    name = (source.get("name") if is_map else source.get("secretName") or source.get("name")) or ""
    obj = found.get(Reference(CONFIG_MAPS if is_map else SECRETS, name))
    is_optional = bool(source.get("optional"))
    if obj is None:
        if is_optional:
            return {}
        raise VolumeError(f'{"configmap" if is_map else "secret"} "{name}" not found')
    data = data_of(obj)
    items: Sequence[Mapping[str, Any]] = source.get("items") or ()
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    files: Payload = {}
    for item in items:
        if item["key"] in data:
            own = item.get("mode")
            files[item["path"]] = File(data[item["key"]], mode if own is None else own)
        elif not is_optional:
            raise VolumeError(f"references non-existent {'config' if is_map else 'secret'} key: {item['key']}")
    return files


def _of_fields(pod: ROObj, items: Sequence[Mapping[str, Any]], mode: int, facts: PodFacts) -> Payload:
    files: Payload = {}
    for item in items:
        own = item.get("mode")
        try:
            if ref := item.get("fieldRef"):
                text = field_value(pod, ref["fieldPath"], facts)
            else:
                text = resource_value(pod, None, item["resourceFieldRef"], facts)
        except FieldError as error:
            raise VolumeError(str(error)) from error
        files[item["path"]] = File(text.encode(), mode if own is None else own)
    return files
