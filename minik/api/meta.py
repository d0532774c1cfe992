"""Reading and making `ObjectMeta`: small helpers that keep callers free of `obj["metadata"].get(...)` chains.

`Obj` is a draft (a plain dict that its holder may change), `ROObj` what comes out of a cache: shared, read-only.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import orjson

Obj: TypeAlias = dict[str, Any]
ROObj: TypeAlias = Mapping[str, Any]


class Key(NamedTuple):
    """Names one object of a known kind. `namespace` is "" for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class GroupVersionKind(NamedTuple):
    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def parse_api_version(api_version: str) -> tuple[str, str]:
    """`apps/v1` → ("apps", "v1"); `v1` → ("", "v1")."""
    group, _, version = api_version.rpartition("/")
    return group, version


def draft(obj: ROObj) -> Obj:
    """A deep copy to change. (A JSON round trip: 7 times faster than copy.deepcopy.)"""
    try:
        result: Obj = orjson.loads(orjson.dumps(obj))
    except TypeError:  # something that is not JSON inside, as in a test
        result = copy.deepcopy(dict(obj))
    return result


def name(obj: ROObj) -> str:
    return obj["metadata"].get("name", "")  # type: ignore[no-any-return]  # JSON


def namespace(obj: ROObj) -> str:
    return obj["metadata"].get("namespace", "")  # type: ignore[no-any-return]  # JSON


def key(obj: ROObj) -> Key:
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata.get("name", ""))


def uid(obj: ROObj) -> str:
    return obj["metadata"].get("uid", "")  # type: ignore[no-any-return]  # JSON


def revision(obj: ROObj) -> int:
    """`metadata.resourceVersion` as a number; 0 if there is none."""
    text = obj["metadata"].get("resourceVersion", "")
    return int(text) if text else 0


def generation(obj: ROObj) -> int:
    return obj["metadata"].get("generation", 0)  # type: ignore[no-any-return]  # JSON


def labels(obj: ROObj) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations(obj: ROObj) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def finalizers(obj: ROObj) -> Sequence[str]:
    return obj["metadata"].get("finalizers") or ()


def is_deleting(obj: ROObj) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def owners(obj: ROObj) -> Sequence[Mapping[str, Any]]:
    return obj["metadata"].get("ownerReferences") or ()


def controller_of(obj: ROObj) -> Mapping[str, Any] | None:
    """The owner reference with `controller: true`, or None."""
    for owner in owners(obj):
        if owner.get("controller"):
            return owner
    return None


def is_controlled_by(obj: ROObj, owner: ROObj) -> bool:
    ref = controller_of(obj)
    return ref is not None and ref.get("uid") == uid(owner)


def controller_ref(owner: ROObj) -> Obj:
    """An owner reference that makes `owner` the controller (metav1.NewControllerRef)."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(obj: ROObj, type_: str) -> Mapping[str, Any] | None:
    """`status.conditions[type=type_]`, or None."""
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry.get("type") == type_:
            return entry  # type: ignore[no-any-return]  # JSON
    return None
