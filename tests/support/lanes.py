"""The objects that a load writes: each write's own token in one lane or in both, with a filling and a checksum, and a label.

So each answer tells which writes it shows, and an object that is half of one write and half of another shows too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.support.watchlog import Listing, Scope, Version

LANES = ("left", "right")
SHADES = ("blue", "red")
PREFIX = "k-"
"""Names of the objects that only the clients here write."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A kind's place in the API, and where its objects carry the lanes."""

    resource: str
    api: str
    kind: str
    durable: bool
    carrier: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    creates: bool = False
    """A PUT makes what is absent."""
    unconditional: bool = True
    """A PUT may leave the revision out."""

    def path(self, namespace: str, name: str = "") -> str:
        middle = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.api}{middle}/{self.resource}" + (f"/{name}" if name else "")

    @property
    def api_version(self) -> str:
        return self.api.removeprefix("/apis/").removeprefix("/api/")


CONFIG_MAPS = Target("configmaps", "/api/v1", "ConfigMap", True, "data")
EVENTS = Target(
    "events", "/api/v1", "Event", False, "annotations",
    {"involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "reason": "Load", "type": "Normal"}, creates=True,
)  # fmt: skip
LEASES = Target(
    "leases", "/apis/coordination.k8s.io/v1", "Lease", False, "annotations", {"spec": {"holderIdentity": "n"}},
    creates=True, unconditional=False,
)  # fmt: skip

PLACES = ((CONFIG_MAPS, "default"), (CONFIG_MAPS, "other"), (EVENTS, "default"), (LEASES, "kube-node-lease"))


def shade_of(token: str) -> str:
    return SHADES[hashlib.blake2b(token.encode(), digest_size=1).digest()[0] & 1]


def lane(name: str, token: str, size: int) -> dict[str, str]:
    """The fields of a lane, checksum included. `size`: repetitions of the token that fill it."""
    filling = token * size
    return {name: token, f"{name}-filling": filling, f"{name}-sum": _checksum(token, filling)}


def _checksum(token: str, filling: str) -> str:
    return hashlib.blake2b(f"{token}/{filling}".encode(), digest_size=8).hexdigest()


def whole(target: Target, name: str, token: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """An object to be sent, with these lanes and the label that goes with them."""
    metadata: dict[str, Any] = {"name": name, "labels": {"shade": shade_of(token)}}
    body = {"apiVersion": target.api_version, "kind": target.kind, "metadata": metadata, **target.fixed}
    (body if target.carrier == "data" else metadata)[target.carrier] = fields
    return body


class MixedError(AssertionError):
    """An object that no write left."""


def read(target: Target, obj: Mapping[str, Any]) -> Version:
    """The version that an object shows. Raises MixedError if it is not whole."""
    metadata = obj["metadata"]
    fields = (obj if target.carrier == "data" else metadata).get(target.carrier) or {}
    try:
        for name in LANES:
            if _checksum(fields[name], fields[f"{name}-filling"]) != fields[f"{name}-sum"]:
                raise MixedError(f"the checksum of lane {name} is wrong: {obj}")
        label = metadata["labels"]["shade"]
    except KeyError as error:
        raise MixedError(f"without {error}: {obj}") from error
    if label != shade_of(fields["left"]):
        raise MixedError(f"the label is not of the same write as the left lane: {obj}")
    return Version(int(metadata["resourceVersion"]), metadata["uid"], tuple(fields[name] for name in LANES), label)


def key_of(target: Target, metadata: Mapping[str, Any]) -> str:
    return f"{target.resource}/{metadata['namespace']}/{metadata['name']}"


def listed(target: Target, namespace: str, answer: bytes, life: int, position: int) -> Listing:
    """What a list shows of the objects that are written here. Raises MixedError."""
    value = orjson.loads(answer)
    items = {
        key_of(target, obj["metadata"]): read(target, obj)
        for obj in value["items"]
        if obj["metadata"]["name"].startswith(PREFIX)
    }
    return Listing(
        Scope(target.resource, namespace), life, int(value["metadata"]["resourceVersion"]), items, position=position
    )
