"""`FakeApi`: an API server's semantics in memory, small enough to read, for tests of clients and controllers.

Honest where controllers look: one revision counter for everything, optimistic concurrency, uid preconditions, generation, status
as a subresource, finalizers, graceful deletion of bound pods, propagation policies as finalizers, watches from any revision with
bookmarks, Expired after `compact`. It validates and defaults nothing. `FakeTransport` is a `Transport` onto it, with failures to
inject and a lag for watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from minik.api import errors, meta, times
from minik.api.kind import Kind
from minik.api.meta import Key, Obj, ROObj
from minik.api.registry import Registry
from minik.api.schema import schema_of
from minik.api.selectors import parse_field_selector, parse_label_selector
from minik.client.transport import JSON_PATCH, MERGE_PATCH, ListResult, Transport, WatchEvent
from minik.clock import Clock, Entropy
from minik.server.patch.merge import apply_merge_patch
from minik.server.patch.strategic import apply_strategic_merge_patch


class FakeApi:
    """The server's side: objects, a log, and who waits for it."""

    def __init__(self, registry: Registry, *, clock: Clock, entropy: Entropy) -> None:
        self.registry, self.clock, self.entropy = registry, clock, entropy
        self.revision = 0
        self.oldest = 0
        self.objects: dict[tuple[str, Key], ROObj] = {}
        self.log: list[tuple[int, str, str, ROObj]] = []
        self.grown = asyncio.Event()
        self.requests: list[tuple[str, str]] = []
        self.fail: Callable[[str, str], Exception | None] = lambda method, path: None

    # --- for tests ---------------------------------------------------------------------------------------------------

    def get(self, resource: str, name: str, namespace: str = "") -> ROObj | None:
        return self.objects.get((resource, Key(namespace, name)))

    def all(self, resource: str, namespace: str = "") -> list[ROObj]:
        return [
            obj
            for (kind, key), obj in self.objects.items()
            if kind == resource and (not namespace or key.namespace == namespace)
        ]

    def put(self, resource: str, obj: Obj) -> ROObj:
        """Create or replace, status included, as a test's stand-in for whoever writes such things."""
        kind = self.registry[resource]
        key = meta.key(obj)
        old = self.objects.get((resource, key))
        if old is None:
            return self.create(kind, obj)
        new = {"apiVersion": kind.api_version, "kind": kind.kind, **meta.draft(obj)}
        for field in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
            if field in old["metadata"]:
                new["metadata"].setdefault(field, old["metadata"][field])
        return self._store(kind, key, new, old)

    def remove(self, resource: str, name: str, namespace: str = "") -> None:
        """Gone at once, whatever holds it."""
        self._drop(self.registry[resource], Key(namespace, name))

    def compact(self) -> None:
        self.oldest = self.revision
        self.log.clear()

    # --- verbs -------------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, obj: ROObj) -> ROObj:
        new = meta.draft(obj)
        new.setdefault("apiVersion", kind.api_version)
        new.setdefault("kind", kind.kind)
        metadata = new["metadata"]
        if not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + self.entropy.suffix()
        if kind.namespaced:
            space = self.objects.get(("namespaces", Key("", metadata["namespace"])))
            if space is not None and meta.is_deleting(space):
                raise errors.forbidden(kind.plural, kind.group, metadata["name"], "namespace is being terminated")
        key = meta.key(new)
        if (kind.resource, key) in self.objects:
            raise errors.already_exists(kind.plural, kind.group, key.name)
        metadata["uid"] = self.entropy.uid()
        metadata["creationTimestamp"] = times.format_time(self.clock.now())
        if kind.generation:
            metadata["generation"] = 1
        if kind.kind == "Namespace":
            new.setdefault("spec", {})["finalizers"] = ["kubernetes"]
            new.setdefault("status", {})["phase"] = "Active"
        return self._publish("ADDED", kind, key, new)

    def update(self, kind: Kind, key: Key, obj: ROObj, subresource: str) -> ROObj:
        old = self._need(kind, key)
        new, before = meta.draft(obj), old["metadata"]
        metadata = new["metadata"]
        if metadata.get("uid") and metadata["uid"] != before["uid"]:
            raise errors.conflict(kind.plural, kind.group, key.name, "Precondition failed: UID")
        if metadata.get("resourceVersion") and metadata["resourceVersion"] != before["resourceVersion"]:
            raise errors.conflict(kind.plural, kind.group, key.name)
        for field in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            metadata.pop(field, None)
            if field in before:
                metadata[field] = before[field]
        if subresource == "status":
            new = {**meta.draft(old), "status": new.get("status", {})}
        elif subresource == "finalize":
            new = {**meta.draft(old), "spec": new["spec"]}
        elif kind.has_status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        return self._store(kind, key, new, old)

    def patch(self, kind: Kind, key: Key, patch: Any, content_type: str, subresource: str) -> ROObj:
        old = self._need(kind, key)
        assert content_type != JSON_PATCH, "the fake has no JSON patch"
        if content_type == MERGE_PATCH:
            new = apply_merge_patch(meta.draft(old), patch)
        else:
            new = apply_strategic_merge_patch(old, patch, schema_of(kind.schema))
        if subresource == "status" and "metadata" in patch and "uid" not in patch["metadata"]:
            new["metadata"] = meta.draft(old)["metadata"]
        return self.update(kind, key, new, subresource)

    def delete(self, kind: Kind, key: Key, options: Mapping[str, Any]) -> ROObj:
        old = self._need(kind, key)
        want = options.get("preconditions") or {}
        if want.get("uid", meta.uid(old)) != meta.uid(old):
            raise errors.conflict(kind.plural, kind.group, key.name, "Precondition failed: UID")
        if want.get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
            raise errors.conflict(kind.plural, kind.group, key.name, "Precondition failed: ResourceVersion")
        new = meta.draft(old)
        policy = options.get("propagationPolicy") or ""
        finalizers = [f for f in meta.finalizers(old) if not (policy and f in ("orphan", "foregroundDeletion"))]
        if policy in ("Orphan", "Foreground"):
            finalizers.append("orphan" if policy == "Orphan" else "foregroundDeletion")
        new["metadata"]["finalizers"] = finalizers
        grace = 0
        if kind.resource == "pods" and (old.get("spec") or {}).get("nodeName"):
            asked = options.get("gracePeriodSeconds")
            grace = old["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
        holds = finalizers or (kind.kind == "Namespace" and (old.get("spec") or {}).get("finalizers"))
        if not holds and not grace:
            return self._drop(kind, key)
        if not meta.is_deleting(old):
            new["metadata"]["deletionTimestamp"] = times.format_time(self.clock.now())
        new["metadata"]["deletionGracePeriodSeconds"] = grace
        if kind.kind == "Namespace":
            new.setdefault("status", {})["phase"] = "Terminating"
        return old if new == old else self._publish("MODIFIED", kind, key, new)

    def _need(self, kind: Kind, key: Key) -> ROObj:
        obj = self.objects.get((kind.resource, key))
        if obj is None:
            raise errors.not_found(kind.plural, kind.group, key.name)
        return obj

    def _store(self, kind: Kind, key: Key, new: Obj, old: ROObj) -> ROObj:
        metadata = new["metadata"]
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new == old:
            return old
        if not metadata.get("ownerReferences"):
            metadata.pop("ownerReferences", None)
        if kind.generation and new.get("spec") != old.get("spec"):
            metadata["generation"] = old["metadata"].get("generation", 0) + 1
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            held = kind.kind == "Namespace" and (new.get("spec") or {}).get("finalizers")
            if not held and not metadata.get("deletionGracePeriodSeconds"):
                self.objects[kind.resource, key] = new
                return self._drop(kind, key)
        return self._publish("MODIFIED", kind, key, new)

    def _drop(self, kind: Kind, key: Key) -> ROObj:
        gone = meta.draft(self.objects.pop((kind.resource, key)))
        return self._event("DELETED", kind, gone)

    def _publish(self, type_: str, kind: Kind, key: Key, obj: Obj) -> ROObj:
        self.objects[kind.resource, key] = obj
        return self._event(type_, kind, obj)

    def _event(self, type_: str, kind: Kind, obj: Obj) -> ROObj:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self.log.append((self.revision, kind.resource, type_, obj))
        self.grown.set()
        self.grown = asyncio.Event()
        return obj


class FakeTransport:
    """A `Transport` onto a `FakeApi`."""

    def __init__(self, api: FakeApi, *, watch_lag: float = 0.0) -> None:
        self.api = api
        self.watch_lag = watch_lag
        """Seconds by which watch events come late."""
        self.cut = asyncio.Event()
        """Set it to end every watch once."""

    def _route(self, path: str) -> tuple[Kind, Key, str]:
        parts = path.strip("/").split("/")
        group = ""
        if parts.pop(0) == "apis":
            group = parts.pop(0)
        version, namespace = parts.pop(0), ""
        if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
            namespace = parts[1]
            parts = parts[2:]
        kind = self.api.registry.by_plural(group, version, parts[0])
        if kind is None:
            raise errors.NotFound("the server could not find the requested resource")
        name, subresource = (*parts[1:], "", "")[:2]
        return kind, Key(namespace, name), subresource

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None,
        content_type: str = "application/json",
    ) -> ROObj:  # fmt: skip
        await asyncio.sleep(0)
        self.api.requests.append((method, path))
        failure = self.api.fail(method, path)
        if failure is not None:
            raise failure
        kind, key, subresource = self._route(path)
        if method == "GET":
            return self.api._need(kind, key)
        if method == "POST" and subresource == "binding":
            pod = meta.draft(self.api._need(self.api.registry["pods"], key))
            pod["spec"]["nodeName"] = body["target"]["name"]
            self.api.put("pods", pod)
            return {"kind": "Status", "status": "Success"}
        if method == "POST":
            return self.api.create(kind, {**body, "metadata": {**body["metadata"], "namespace": key.namespace}}
                                   if kind.namespaced else body)  # fmt: skip
        if method == "PUT":
            return self.api.update(kind, key, body, subresource)
        if method == "PATCH":
            return self.api.patch(kind, key, body, content_type, subresource)
        if key.name:
            return self.api.delete(kind, key, body or {})
        for obj in self.api.all(kind.resource, key.namespace):
            self.api.delete(kind, meta.key(obj), body or {})
        return {"kind": "Status", "status": "Success"}

    def _selected(self, kind: Kind, namespace: str, query: Mapping[str, str], obj: ROObj) -> bool:
        if namespace and meta.namespace(obj) != namespace:
            return False
        labels = parse_label_selector(query.get("labelSelector", ""))
        fields = parse_field_selector(query.get("fieldSelector", "")).compile(kind.fields)
        return labels.matches(meta.labels(obj)) and fields(obj)

    async def list(self, path: str, *, query: Mapping[str, str] | None = None) -> ListResult:
        await asyncio.sleep(0)
        self.api.requests.append(("LIST", path))
        failure = self.api.fail("LIST", path)
        if failure is not None:
            raise failure
        kind, key, _ = self._route(path)
        found = [o for o in self.api.all(kind.resource) if self._selected(kind, key.namespace, query or {}, o)]
        return ListResult(sorted(found, key=meta.key), str(self.api.revision))

    async def watch(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        query = query or {}
        self.api.requests.append(("WATCH", path))
        failure = self.api.fail("WATCH", path)
        if failure is not None:
            raise failure
        kind, key, _ = self._route(path)
        seen = int(query.get("resourceVersion") or 0)
        cut = self.cut
        while True:
            if seen < self.api.oldest:
                raise errors.Expired(f"too old resource version: {seen} ({self.api.oldest})")
            grown = self.api.grown
            for revision, resource, type_, obj in self.api.log[max(0, seen - self.api.oldest) :]:
                if self.watch_lag:
                    await asyncio.sleep(self.watch_lag)
                if cut.is_set():
                    return
                seen = revision
                if resource == kind.resource and self._selected(kind, key.namespace, query, obj):
                    yield WatchEvent(type_, obj)  # type: ignore[arg-type]
            if query.get("allowWatchBookmarks") == "true":
                yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(seen)}})
            waiting = [asyncio.ensure_future(grown.wait()), asyncio.ensure_future(cut.wait())]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
            if cut.is_set():
                return

    def cut_watches(self) -> None:
        """End every open watch; new ones work."""
        self.cut.set()
        self.cut = asyncio.Event()

    async def close(self) -> None:
        pass


def _check(transport: FakeTransport) -> Transport:
    return transport
