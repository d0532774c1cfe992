"""`Kind`: all that minik knows of one kind besides its fields (those are in `tables/`).

One file per kind under `minik/api/<group>_<version>/` exports `KIND`; `registry.py` collects them. Everything here is pure: a
hook takes values and changes at most the draft it is given. What needs state (addresses, quotas, other objects) is admission
and lives in `minik/server/admission/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from minik.api.errors import FieldError
from minik.api.meta import GroupVersionKind, Obj, ROObj

if TYPE_CHECKING:
    from minik.api.structural import CustomSchema

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of `kubectl get` (meta.k8s.io/v1 TableColumnDefinition). `priority` 1 shows with `-o wide` only."""

    name: str
    value: Callable[[ROObj, datetime], Any]
    """(object, now) → the cell: a string, a whole number or a boolean."""
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subresource:
    """A subresource for discovery and routing. An empty group and version mean those of its kind."""

    name: str
    kind: str
    group: str = ""
    version: str = ""
    verbs: tuple[str, ...] = ("get", "patch", "update")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePaths:
    """Where `/scale` finds its numbers: dotted paths into the object."""

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = "spec.selector"
    """A path to a LabelSelector, to a plain map of labels, or (custom kinds) to its text form."""


def _nothing(_draft: Obj) -> None:
    pass


def _keep(_draft: Obj, _old: ROObj) -> None:
    pass


def _valid(_obj: ROObj) -> Sequence[FieldError]:
    return ()


def _valid_update(_new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    return ()


def _no_warnings(_obj: ROObj) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherVersion:
    """How a version of a built-in kind that is not the stored one sees the stored objects. Both ways make whole objects; parts may be
    shared with what they are given."""

    shown: Callable[[ROObj], Obj]
    """An object as it is stored → in this version."""
    stored: Callable[[ROObj], Obj]
    """A valid object of this version → as it is stored."""
    keep_spec: Callable[[Obj, ROObj], None] = _keep
    """(draft, old), both in this version: an update of the status leaves alone what of the spec stands in the metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The descriptor of a kind. The server, the clients and kubectl's discovery all read it."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    schema: str
    """The type's name in the tables, as in OpenAPI: `io.k8s.api.apps.v1.Deployment`."""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    scale: ScalePaths | None = None

    default: Callable[[Obj], None] = _nothing
    """Fill in defaults that depend on other fields (those that do not stand in the tables and are already there)."""
    default_status: Callable[[Obj], None] = _nothing
    """The same for an update of the status, which alone may be changed: parts that were not asked to change are shared."""
    prepare_create: Callable[[Obj], None] = _nothing
    """Drop or set what a creator may not: typically `status`. Runs after defaulting, before admission."""
    identify: Callable[[Obj], None] = _nothing
    """On create, once name and uid are known: set what is made from them. Runs before admission, again if a generated name is taken."""
    prepare_update: Callable[[Obj, ROObj], None] = _keep
    """(draft, old): the same for an update of the main resource. `status` is kept from `old` by the server beforehand if the kind
    has a status subresource; generation is counted by the server when anything outside metadata and status changed."""
    validate: Callable[[ROObj], Sequence[FieldError]] = _valid
    """Everything wrong with an object, its metadata excepted (the server checks ObjectMeta for every kind)."""
    validate_update: Callable[[ROObj, ROObj], Sequence[FieldError]] = _valid_update
    """(new, old): what an update may not change. `validate(new)` has run too."""
    validate_status: Callable[[ROObj, ROObj], Sequence[FieldError]] = _valid_update
    """(new, old) for an update through the status subresource."""
    validate_name: Callable[[str], Sequence[str]] | None = None
    """name → what is wrong with it, in words. None: a DNS-1123 subdomain."""
    warnings: Callable[[ROObj], Sequence[str]] = _no_warnings
    """Sentences for `Warning:` headers on create and update."""

    columns: tuple[Column, ...] = ()
    """Without the leading Name column, which every kind has. Empty: Name and Age."""
    fields: Mapping[str, Callable[[ROObj], str]] = field(default_factory=dict)
    """Selectable fields besides `metadata.name` and `metadata.namespace`."""

    is_durable: Callable[[str], bool] = lambda _namespace: True
    """namespace → whether objects there must survive the process. False for Events and node heartbeats."""
    grace_seconds: Callable[[ROObj, int | None], int] | None = None
    """Graceful deletion (pods only): (object, the asked gracePeriodSeconds) → the grace to use; 0 deletes at once."""
    orphans_by_default: bool = False
    """Whether a delete without propagationPolicy orphans dependents (legacy core/v1 ReplicationController)."""
    generation: bool = True
    """Whether metadata.generation is counted."""
    deprecation: str = ""
    """A sentence for the `Warning:` header of every request."""
    other: OtherVersion | None = None
    """Of a version that is served but not stored: another one of the same group and plural is. Registered before that one."""
    stored_in: str = ""
    """The resource of another group as which its objects are stored (`other` tells how): one set of objects, served in two groups."""
    cleanup_finalizer: str = ""
    """A finalizer that every deletion of such an object begins with: what it stands for goes first."""
    custom: CustomSchema | None = field(default=None, compare=False)
    """Custom kinds only: their fields, in the place of a table."""

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind(self.group, self.version, self.kind)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The kind's short unique name inside minik: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def store(self) -> str:
        """The resource under which its objects lie: its own, but for kinds that are another group's in other words."""
        return self.stored_in or self.resource

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def has_status(self) -> bool:
        return any(s.name == "status" for s in self.subresources)

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, object or subresource."""
        parts = ["/apis" if self.group else "/api"]
        if self.group:
            parts.append(self.group)
        parts.append(self.version)
        if namespace and self.namespaced:
            parts += ("namespaces", namespace)
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def key(self, namespace: str, name: str) -> str:
        """The object's key in the store: `pods/default/web`, `nodes//n1`."""
        return f"{self.store}/{namespace if self.namespaced else ''}/{name}"


STATUS = "status"


def status_of(kind: str) -> Subresource:
    """The `status` subresource of a kind."""
    return Subresource(name=STATUS, kind=kind)


def scale_subresource() -> Subresource:
    return Subresource(name="scale", kind="Scale", group="autoscaling", version="v1")
