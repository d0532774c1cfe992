"""OpenAPI paths and operations of the served kinds. Pure; called by `minik.server.openapi`.

kubectl reads them: `explain` finds a resource's type by the group-version-kind of its operations, `apply` asks whether an operation
knows the `fieldValidation` and `dryRun` parameters. Operation ids, actions and parameters are those of kube-apiserver.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minik.api.kind import Kind, Subresource
from minik.api.meta import Obj
from minik.api.tables import type_name_for
from minik.server.openapi_schemas import PATCH, Version, prefix

_DRY = ("dryRun",)
_WRITE = (*_DRY, "fieldManager", "fieldValidation")
_LIST = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch",
    "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_DELETE = (*_DRY, "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_DELETE_MANY = tuple(sorted({*_DELETE, *_LIST} - {"allowWatchBookmarks", "watch"}))
_TYPES = {
    "allowWatchBookmarks": "boolean",
    "follow": "boolean",
    "force": "boolean",
    "gracePeriodSeconds": "integer",
    "insecureSkipTLSVerifyBackend": "boolean",
    "limit": "integer",
    "limitBytes": "integer",
    "orphanDependents": "boolean",
    "ports": "integer",
    "previous": "boolean",
    "sendInitialEvents": "boolean",
    "sinceSeconds": "integer",
    "stderr": "boolean",
    "stdin": "boolean",
    "stdout": "boolean",
    "tailLines": "integer",
    "timeoutSeconds": "integer",
    "timestamps": "boolean",
    "tty": "boolean",
    "watch": "boolean",
}
_CONNECT = {
    "attach": ("container", "stderr", "stdin", "stdout", "tty"),
    "exec": ("command", "container", "stderr", "stdin", "stdout", "tty"),
    "portforward": ("ports",),
    "proxy": ("path",),
}
_CONNECT_ACTIONS = {
    "get": ("get", "connectGet"), "create": ("post", "connectPost"), "update": ("put", "connectPut"),
    "patch": ("patch", "connectPatch"), "delete": ("delete", "connectDelete"),
}  # fmt: skip
"""Verb → (HTTP method, how the operation's id begins)."""
_LOG = (
    "container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "previous", "sinceSeconds", "stream", "tailLines",
    "timestamps",
)  # fmt: skip
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"


def paths(kinds: Iterable[Kind], version: Version) -> tuple[dict[str, Obj], set[str]]:
    """(path → its operations, the types they speak of)."""
    found: dict[str, Obj] = {}
    writer = _Writer(version)
    for kind in kinds:
        writer.kind = kind
        _kind_paths(kind, writer, found)
    return dict(sorted(found.items())), writer.types


def _kind_paths(kind: Kind, writer: _Writer, found: dict[str, Obj]) -> None:
    verbs = set(kind.verbs)
    scope = "Namespaced" if kind.namespaced else ""
    namespace = ("namespace",) if kind.namespaced else ()
    collection = kind.path("{namespace}")
    many: Obj = {}
    if "list" in verbs:
        many["get"] = writer.operation("list", scope, "list", kind.schema + "List", _LIST)
    if "create" in verbs:
        many["post"] = writer.operation("create", scope, "post", kind.schema, _WRITE, body=kind.schema)
    if "deletecollection" in verbs:
        many["delete"] = writer.operation(
            "delete", f"Collection{scope}", "deletecollection", _STATUS, _DELETE_MANY, body=_DELETE_OPTIONS
        )
    if many:
        found[collection] = {**many, "parameters": writer.parameters((*namespace, "pretty"))}
    if kind.namespaced and "list" in verbs:
        every = writer.operation("list", "", "list", kind.schema + "List", _LIST, suffix="ForAllNamespaces")
        found[kind.path()] = {"get": every, "parameters": writer.parameters(("pretty",))}
    one: Obj = {}
    if "get" in verbs:
        one["get"] = writer.operation("read", scope, "get", kind.schema, ())
    one.update(_changes(kind.schema, verbs, scope, writer))
    if "delete" in verbs:
        one["delete"] = writer.operation("delete", scope, "delete", _STATUS, _DELETE, body=_DELETE_OPTIONS)
    if one:
        found[kind.path("{namespace}", "{name}")] = {
            **one,
            "parameters": writer.parameters(("name", *namespace, "pretty")),
        }
    for sub in kind.subresources:
        operations = _subresource(kind, sub, scope, writer)
        if operations:
            path = kind.path("{namespace}", "{name}", sub.name)
            found[path] = {**operations, "parameters": writer.parameters(("name", *namespace, "pretty"))}


def _changes(type_: str, verbs: set[str], scope: str, writer: _Writer, suffix: str = "") -> Obj:
    """PUT and PATCH."""
    found: Obj = {}
    if "update" in verbs:
        found["put"] = writer.operation("replace", scope, "put", type_, _WRITE, body=type_, suffix=suffix)
    if "patch" in verbs:
        found["patch"] = writer.operation("patch", scope, "patch", type_, (*_WRITE, "force"), body=PATCH, suffix=suffix)
    return found


def _subresource(kind: Kind, sub: Subresource, scope: str, writer: _Writer) -> Obj:
    verbs = set(sub.verbs)
    suffix = sub.name[:1].upper() + sub.name[1:]
    group, version = (sub.group, sub.version) if sub.version else (kind.group, kind.version)
    own = {"group": group, "version": version, "kind": sub.kind}
    if sub.name in _CONNECT:
        return {
            method: writer.operation(action, scope, "connect", "", _CONNECT[sub.name], suffix=suffix, gvk=own)
            for verb, (method, action) in _CONNECT_ACTIONS.items()
            if verb in verbs
        }
    if sub.name == "log":
        return {"get": writer.operation("read", scope, "get", "", _LOG, suffix="Log", gvk=own)}
    type_ = kind.schema
    if sub.kind != kind.kind:
        try:
            type_ = type_name_for(group, version, sub.kind)
        except KeyError:
            return {}
    found: Obj = {}
    if "get" in verbs:
        found["get"] = writer.operation("read", scope, "get", type_, (), suffix=suffix, gvk=own)
    if "create" in verbs:
        found["post"] = writer.operation("create", scope, "post", type_, _WRITE, body=type_, suffix=suffix, gvk=own)
    changes = _changes(type_, verbs, scope, writer, suffix)
    for operation in changes.values():
        operation["x-kubernetes-group-version-kind"] = own
    return {**found, **changes}


class _Writer:
    """Writes operations in the form of one document version and remembers which types they name."""

    kind: Kind

    def __init__(self, version: Version) -> None:
        self.version: Version = version
        self.types: set[str] = set()

    def operation(
        self,
        action_word: str,
        scope: str,
        action: str,
        answer: str,
        parameters: tuple[str, ...],
        *,
        body: str = "",
        suffix: str = "",
        gvk: Obj | None = None,
    ) -> Obj:
        """One operation. `answer` and `body` are type names; an empty answer is text."""
        kind = self.kind
        group = (kind.group.partition(".")[0] or "core").capitalize() + kind.version.capitalize()
        method = ""
        if action == "connect":
            action_word, method = "connect", action_word.removeprefix("connect")
        found: Obj = {
            "operationId": f"{action_word}{group}{method}{scope}{kind.kind}{suffix}",
            "tags": [f"{(kind.group or 'core').partition('.')[0]}_{kind.version}"],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk or {"group": kind.group, "version": kind.version, "kind": kind.kind},
        }
        codes = {
            "post": ("200", "201", "202"),
            "put": ("200", "201"),
            "patch": ("200", "201"),
            "delete": ("200", "202"),
        }
        answers = codes.get(action, ("200",))
        given = self.parameters(parameters)
        if self.version == 2:
            self._body_and_answer_v2(found, given, body, answer, answers)
        else:
            self._body_and_answer_v3(found, given, body, answer, answers, is_list=action == "list")
        return found

    def _patch_types(self) -> tuple[str, ...]:
        return (*_PATCHES, _STRATEGIC) if self.kind.schema.startswith("io.k8s.") else _PATCHES

    def _body_and_answer_v2(self, found: Obj, given: list[Obj], body: str, answer: str, codes: tuple[str, ...]) -> None:
        if body:
            given = [
                {"in": "body", "name": "body", "required": body != _DELETE_OPTIONS, "schema": self.ref(body)},
                *given,
            ]
        found["consumes"] = list(self._patch_types()) if body == PATCH else ["*/*"]
        found["produces"] = ["application/json"] if answer else ["*/*"]
        found["schemes"] = ["https"]
        if given:
            found["parameters"] = given
        schema = self.ref(answer) if answer else {"type": "string"}
        found["responses"] = {code: {"description": "OK", "schema": schema} for code in codes}

    def _body_and_answer_v3(
        self, found: Obj, given: list[Obj], body: str, answer: str, codes: tuple[str, ...], *, is_list: bool
    ) -> None:
        if given:
            found["parameters"] = given
        if body:
            types = self._patch_types() if body == PATCH else ("*/*",)
            content = {type_: {"schema": self.ref(body)} for type_ in types}
            found["requestBody"] = {"content": content}
            if body != _DELETE_OPTIONS:
                found["requestBody"]["required"] = True
        schema = self.ref(answer) if answer else {"type": "string"}
        media = ("application/json", "application/json;stream=watch") if is_list else ("application/json",)
        answers = {"content": {m: {"schema": schema} for m in (media if answer else ("*/*",))}, "description": "OK"}
        found["responses"] = dict.fromkeys(codes, answers)

    def ref(self, type_: str) -> Obj:
        self.types.add(type_)
        return {"$ref": prefix(self.version) + type_}

    def parameters(self, names: tuple[str, ...]) -> list[Obj]:
        return [self._parameter(name) for name in names]

    def _parameter(self, name: str) -> Obj:
        kind: dict[str, Any] = {"type": _TYPES.get(name, "string"), "uniqueItems": True}
        is_path = name in ("name", "namespace")
        found: Obj = {"in": "path" if is_path else "query", "name": name}
        if is_path:
            found["required"] = True
        return {**found, **kind} if self.version == 2 else {**found, "schema": kind}
