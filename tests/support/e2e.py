"""The API as upstream's conformance tests use it (client-go with its protobuf content type), and which test stands for which of their rows.

`Client` sends objects of built-in kinds as protobuf and patches in their own content types; `Watch` reads a watch from a revision, as
`watchtools.Until` and `RetryWatcher` do. `row("…")` marks a test with the name of the row that it replays: see `tests/wire/test_rows.py`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from minik.api.builtin import BUILTIN
from tests.support.process import Answer, Server, dial, until
from tests.support.protobuf import envelope

Obj = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_KIND = {kind.plural: kind for kind in reversed(BUILTIN) if "create" in kind.verbs and kind.version != "v2"}
_VERSION = {plural: kind.api_version for plural, kind in _KIND.items()}
PROTOBUF = "application/vnd.kubernetes.protobuf"

TIMEOUT = 30.0
"""Seconds after which an event counts as missing."""

rows: dict[str, list[str]] = {}
"""Row → the tests that replay it."""

Test = Callable[..., Any]


def row(*names: str) -> Callable[[Test], Test]:
    """Marks a test with the rows (without their SIG and `[Conformance]`) that it stands for."""

    def mark(test: Test) -> Test:
        for name in names:
            rows.setdefault(name, []).append(f"{test.__module__}.{test.__name__}")
        return test

    return mark


class Client:
    """What a test of the suite holds: a clientset, and its own namespace."""

    def __init__(self, server: Server, namespace: str) -> None:
        self.server, self.namespace = server, namespace

    def path(self, plural: str, name: str = "", *, everywhere: bool = False, namespace: str = "") -> str:
        version = _VERSION[plural]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        home = "" if everywhere or not _KIND[plural].namespaced else f"/namespaces/{namespace or self.namespace}"
        return f"{root}{home}/{plural}" + (f"/{name}" if name else "")

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        headers = {"Accept": f"{PROTOBUF}, */*"} | ({"Content-Type": content_type} if body is not None else {})
        return self.server.request(method, path, body, headers=headers)

    def do(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        answer = self.ask(method, path, body, content_type)
        assert answer.status in (200, 201), (method, path, answer.status, answer.body)
        return answer.obj

    # --- the verbs ------------------------------------------------------------------------------------------------

    def create(self, plural: str, obj: Obj, *, namespace: str = "") -> Any:
        answer = self.try_create(plural, obj, namespace=namespace)
        assert answer.status == 201, answer.body
        return answer.obj

    def try_create(self, plural: str, obj: Obj, *, namespace: str = "") -> Answer:
        body = envelope(_VERSION[plural], _KIND[plural].kind, obj)
        return self.ask("POST", self.path(plural, namespace=namespace), body, PROTOBUF)

    def review(self, kind: str, path: str, spec: Obj, **metadata: str) -> Any:
        """The status that comes back of what is no object of its own: an access review, a TokenReview, a TokenRequest."""
        version = f"{'authorization' if kind.endswith('AccessReview') else 'authentication'}.k8s.io/v1"
        answer = self.ask("POST", path, envelope(version, kind, {"metadata": metadata, "spec": spec}), PROTOBUF)
        assert answer.status == 201, answer.body
        return answer.obj["status"]

    def get(self, plural: str, name: str) -> Any:
        return self.do("GET", self.path(plural, name))

    def exists(self, plural: str, name: str) -> bool:
        return self.ask("GET", self.path(plural, name)).status == 200

    def page(self, plural: str, selector: str = "", *, everywhere: bool = False) -> Any:
        query = f"?{urlencode({'labelSelector': selector})}" if selector else ""
        return self.do("GET", self.path(plural, everywhere=everywhere) + query)

    def items(self, plural: str, selector: str = "", *, everywhere: bool = False) -> list[Any]:
        found: list[Any] = self.page(plural, selector, everywhere=everywhere)["items"]
        return found

    def try_put(self, plural: str, obj: Obj, subresource: str = "") -> Answer:
        name = obj["metadata"]["name"] + (f"/{subresource}" if subresource else "")
        scale = subresource == "scale"
        version, kind = ("autoscaling/v1", "Scale") if scale else (_VERSION[plural], _KIND[plural].kind)
        return self.ask("PUT", self.path(plural, name), envelope(version, kind, obj), PROTOBUF)

    def put(self, plural: str, obj: Obj, subresource: str = "") -> Any:
        answer = self.try_put(plural, obj, subresource)
        assert answer.status == 200, answer.body
        return answer.obj

    def change(self, plural: str, name: str, edit: Callable[[Obj], Any], subresource: str = "") -> Any:
        """`retry.RetryOnConflict`: get, change, put, until nobody was quicker."""
        while True:
            obj = self.get(plural, name)
            edit(obj)
            answer = self.try_put(plural, obj, subresource)
            if answer.status != 409:
                assert answer.status == 200, answer.body
                return answer.obj

    def patch(self, plural: str, name: str, body: Any, content_type: str = STRATEGIC) -> Any:
        return self.do("PATCH", self.path(plural, name), body, content_type)

    def delete(
        self, plural: str, name: str, options: Mapping[str, Any] | None = None, *, namespace: str = ""
    ) -> Answer:
        answer = self.ask("DELETE", self.path(plural, name, namespace=namespace), _options(options), PROTOBUF)
        assert answer.status in (200, 202), answer.body
        return answer

    def delete_collection(self, plural: str, selector: str, options: Mapping[str, Any] | None = None) -> None:
        path = f"{self.path(plural)}?{urlencode({'labelSelector': selector})}"
        answer = self.ask("DELETE", path, _options(options), PROTOBUF)
        assert answer.status == 200, answer.body

    def delete_and_wait(self, plural: str, name: str) -> None:
        """`DeleteResourceAndWaitForGC`: in the background, until its pods have gone too."""
        obj = self.get(plural, name)
        self.delete(plural, name, {"propagationPolicy": "Background"})
        until(lambda: not self.owned(obj) and not self.exists(plural, name), f"{plural} {name} and its pods gone")

    # --- waits ----------------------------------------------------------------------------------------------------

    def owned(self, owner: Obj, plural: str = "pods") -> list[Any]:
        """What the object controls (`metav1.IsControlledBy`)."""
        return [item for item in self.items(plural) if owner["metadata"]["uid"] in _controllers(item)]

    def condition(self, plural: str, name: str, type_: str) -> Any:
        conditions = self.get(plural, name).get("status", {}).get("conditions") or ()
        return next((each for each in conditions if each["type"] == type_), None)

    def phase(self, pod: str, phase: str = "Running") -> None:
        until(lambda: self.get("pods", pod)["status"].get("phase") == phase, f"pod {pod} is {phase}")

    @contextlib.contextmanager
    def watch(
        self, plural: str, revision: str, selector: str = "", *, everywhere: bool = False, field: str = ""
    ) -> Iterator[Watch]:
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": revision}
        query |= ({"labelSelector": selector} if selector else {}) | ({"fieldSelector": field} if field else {})
        watch = Watch(self.server, f"{self.path(plural, everywhere=everywhere)}?{urlencode(query)}")
        try:
            yield watch
        finally:
            watch.close()

    def until_event(
        self, plural: str, revision: str, selector: str, condition: Callable[[str, Obj], bool], what: str
    ) -> Obj:
        """`watchtools.Until`: a new watch from a revision, read until an event is the right one. Its object."""
        with self.watch(plural, revision, selector) as watch:
            return watch.until(condition, what)


class Watch:
    """The events of one watch, as they come."""

    def __init__(self, server: Server, path: str) -> None:
        context = server.context()
        self._connection = http.client.HTTPSConnection(server.address, server.port, context=context, timeout=TIMEOUT)
        plain = dial(server.address, server.port)
        self._connection.sock = context.wrap_socket(plain, server_hostname=server.address)
        self._connection.request("GET", path, headers={"Accept": f"{PROTOBUF}, */*"})
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()

    def next(self, what: str = "an event") -> tuple[str, Obj]:
        """The next event that is no bookmark. Raises TimeoutError if none comes."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            if time.monotonic() > deadline:
                raise TimeoutError
            line = self._response.readline()
            assert line, f"the watch ended before {what}"
            event = json.loads(line)
            assert event["type"] != "ERROR", event
            if event["type"] != "BOOKMARK":
                return event["type"], event["object"]

    def until(self, condition: Callable[[str, Obj], bool], what: str) -> Obj:
        seen = []
        try:
            while True:
                type_, obj = self.next(what)
                if condition(type_, obj):
                    return obj
                seen.append((type_, obj["metadata"]["name"], obj.get("status")))
        except TimeoutError:
            raise AssertionError(f"not seen: {what}; but {seen}") from None

    def close(self) -> None:
        self._connection.close()


def _controllers(obj: Obj) -> list[str]:
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences") or () if owner.get("controller")]


def _options(options: Mapping[str, Any] | None) -> bytes:
    return envelope("v1", "DeleteOptions", dict(options or {}))
