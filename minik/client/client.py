"""`Client`: the verbs of the Kubernetes API over a `Transport`, addressed by resource name (`pods`, `deployments.apps`).

Objects are plain dicts. What comes back is shared and read-only; what goes in must not be changed afterwards. Every method raises
`api.errors.StatusError`. Nothing is retried here: the controllers' framework retries, in one place (`controller.py`).

`WritesClient` is the same client, and remembers what it wrote: that is how the framework gives controllers read-your-writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from minik.api import meta
from minik.api.errors import NotFound
from minik.api.kind import Kind
from minik.api.meta import Key, Obj, ROObj
from minik.api.registry import Registry
from minik.client.transport import (
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_MERGE_PATCH,
    ListResult,
    Transport,
    WatchEvent,
)

PatchType = Literal["merge", "strategic", "json"]
Propagation = Literal["", "Background", "Foreground", "Orphan"]

_CONTENT_TYPES: Mapping[str, str] = {"merge": MERGE_PATCH, "strategic": STRATEGIC_MERGE_PATCH, "json": JSON_PATCH}


class Client:
    """A client of one API server. Cheap: holds no connections itself. `manager`: as which field manager it writes."""

    def __init__(self, transport: Transport, registry: Registry, *, manager: str = "") -> None:
        self.transport = transport
        self.registry = registry
        self._query = {"fieldManager": manager} if manager else None

    def kind(self, resource: str) -> Kind:
        """The descriptor of `resource`. Raises NotFound if no such kind is known."""
        kind = self.registry.get(resource)
        if kind is None:
            raise NotFound(f"the server could not find the requested resource ({resource})")
        return kind

    # --- reading -----------------------------------------------------------------------------------------------------

    async def get(self, resource: str, name: str, namespace: str = "", *, subresource: str = "") -> ROObj:
        """One object, from the server (controllers read their caches instead where they can)."""
        return await self.transport.request("GET", self.kind(resource).path(namespace, name, subresource))

    async def list(
        self,
        resource: str,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
    ) -> ListResult:
        """All objects of a namespace ("": of all). With `limit`, a page; ask on with `continue_`."""
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": str(limit) if limit else "",
            "continue": continue_,
        }
        return await self.transport.list(self.kind(resource).path(namespace), query=_given(query))

    def watch(
        self,
        resource: str,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        """Changes after `resource_version` ("": everything that exists first, as ADDED). An `Informer` is what most want."""
        query = {
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "allowWatchBookmarks": "true" if bookmarks else "",
        }
        return self.transport.watch(self.kind(resource).path(namespace), query=_given(query))

    # --- writing -----------------------------------------------------------------------------------------------------

    async def create(self, resource: str, obj: ROObj) -> ROObj:
        """Create `obj` in its `metadata.namespace`. Raises AlreadyExists, Invalid, Forbidden."""
        path = self.kind(resource).path(meta.namespace(obj))
        return self._wrote(resource, await self.transport.request("POST", path, query=self._query, body=obj))

    async def update(self, resource: str, obj: ROObj, *, subresource: str = "") -> ROObj:
        """Replace the object. Raises Conflict if its resourceVersion is not the current one."""
        path = self.kind(resource).path(meta.namespace(obj), meta.name(obj), subresource)
        return self._wrote(resource, await self.transport.request("PUT", path, query=self._query, body=obj))

    async def update_status(self, resource: str, obj: ROObj, status: Mapping[str, Any] | None = None) -> ROObj:
        """Replace the object's status with `status` (None: with its own). Conflict as for `update`."""
        if status is not None:
            obj = {**obj, "status": status}
        return await self.update(resource, obj, subresource="status")

    async def patch(
        self,
        resource: str,
        name: str,
        namespace: str,
        patch: Any,
        *,
        type: PatchType = "merge",  # noqa: A002  # the field's own word
        subresource: str = "",
    ) -> ROObj:
        """Patch an object. Put `metadata.uid` or `metadata.resourceVersion` into a merge patch to have it refused (Conflict) for
        another object of that name or another state of it."""
        path = self.kind(resource).path(namespace, name, subresource)
        content_type = _CONTENT_TYPES[type]
        answer = await self.transport.request("PATCH", path, query=self._query, body=patch, content_type=content_type)
        return self._wrote(resource, answer)

    async def patch_status(
        self,
        resource: str,
        name: str,
        namespace: str,
        patch: Any,
        *,
        type: PatchType = "merge",  # noqa: A002  # the field's own word
    ) -> ROObj:
        """`patch` of the status subresource: `{"status": {...}}`."""
        return await self.patch(resource, name, namespace, patch, type=type, subresource="status")

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace_seconds: int | None = None,
        propagation: Propagation = "",
    ) -> ROObj:
        """Delete an object; `uid` and `resource_version` are preconditions (Conflict). Returns the object or a Status.
        Raises NotFound."""
        options = _delete_options(uid, resource_version, grace_seconds, propagation)
        path = self.kind(resource).path(namespace, name)
        answer = await self.transport.request("DELETE", path, query=self._query, body=options)
        self._deleted(resource, Key(namespace, name), answer)
        return answer

    async def delete_collection(
        self,
        resource: str,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        grace_seconds: int | None = None,
        propagation: Propagation = "",
    ) -> None:
        """Delete all objects of a namespace, or those that match."""
        query = {"labelSelector": label_selector, "fieldSelector": field_selector, **(self._query or {})}
        options = _delete_options("", "", grace_seconds, propagation)
        path = self.kind(resource).path(namespace)
        await self.transport.request("DELETE", path, query=_given(query), body=options)

    async def bind(self, key: Key, node: str, *, uid: str = "") -> None:
        """Bind a pod to a node (pods/binding). Conflict if it is bound already or has another uid."""
        metadata: Obj = {"namespace": key.namespace, "name": key.name}
        if uid:
            metadata["uid"] = uid
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": metadata,
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        path = self.kind("pods").path(key.namespace, key.name, "binding")
        await self.transport.request("POST", path, query=self._query, body=body)

    async def evict(
        self,
        key: Key,
        *,
        uid: str = "",
        grace_seconds: int | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Evict a pod (pods/eviction, policy/v1). Raises TooManyRequests if a disruption budget forbids it. `annotations`: of the
        Eviction."""
        body: Obj = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": key.namespace, "name": key.name},
        }
        if annotations:
            body["metadata"]["annotations"] = dict(annotations)
        options = _delete_options(uid, "", grace_seconds, "")
        if options is not None:
            body["deleteOptions"] = options
        path = self.kind("pods").path(key.namespace, key.name, "eviction")
        await self.transport.request("POST", path, query=self._query, body=body)

    # --- for WritesClient --------------------------------------------------------------------------------------------

    def _wrote(self, resource: str, answer: ROObj) -> ROObj:
        del resource
        return answer

    def _deleted(self, resource: str, key: Key, answer: ROObj) -> None:
        pass


class Writes:
    """What one reconcile wrote: per resource the highest resourceVersion, and the objects it deleted."""

    __slots__ = ("deleted", "revisions")

    def __init__(self) -> None:
        self.revisions: dict[str, int] = {}
        self.deleted: list[tuple[str, Key, str]] = []
        """(resource, key, uid or "") of objects that are gone or going."""

    def __bool__(self) -> bool:
        return bool(self.revisions or self.deleted)


class WritesClient(Client):
    """A client that notes in `writes` what it wrote (see `controller.py`, read-your-writes)."""

    def __init__(self, transport: Transport, registry: Registry, *, manager: str = "") -> None:
        super().__init__(transport, registry, manager=manager)
        self.writes = Writes()

    def _wrote(self, resource: str, answer: ROObj) -> ROObj:
        # A subresource may answer with another kind (Scale carries the revision of the scaled object, a Status has none).
        revision = meta.revision(answer) if "metadata" in answer else 0
        if revision > self.writes.revisions.get(resource, 0):
            self.writes.revisions[resource] = revision
        return answer

    def _deleted(self, resource: str, key: Key, answer: ROObj) -> None:
        uid = ""
        if answer.get("kind") == "Status":
            uid = (answer.get("details") or {}).get("uid") or ""
        elif "metadata" in answer:
            uid = meta.uid(answer)
        if not self.kind(resource).namespaced:
            key = Key("", key.name)
        self.writes.deleted.append((resource, key, uid))


def _given(query: Mapping[str, str]) -> dict[str, str] | None:
    return {k: v for k, v in query.items() if v} or None


def _delete_options(uid: str, resource_version: str, grace_seconds: int | None, propagation: Propagation) -> Obj | None:
    options: Obj = {}
    if uid or resource_version:
        options["preconditions"] = _given({"uid": uid, "resourceVersion": resource_version})
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    if propagation:
        options["propagationPolicy"] = propagation
    return {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None
