"""A definition to start from, and the way to the server."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from minik.api.errors import StatusError
from minik.server.local import LocalTransport
from tests.support.apiserver import Running, running

Obj = dict[str, Any]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"


def version(name: str = "v1", spec: Obj | None = None, **more: Any) -> Obj:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": spec or {}}}}
    return {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **more}


def crd(plural: str = "widgets", *versions: Obj, group: str = "example.com", **names: Any) -> Obj:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": plural[:-1].capitalize(), **names},
            "versions": copy.deepcopy(list(versions)) or [version(spec={"a": {"type": "string"}})],
        },
    }


def path(plural: str = "widgets", name: str = "", *, version: str = "v1", group: str = "example.com") -> str:
    return f"/apis/{group}/{version}/namespaces/default/{plural}" + (f"/{name}" if name else "")


def widget(name: str = "w", version: str = "v1", **spec: Any) -> Obj:
    return {"apiVersion": f"example.com/{version}", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def run() -> AsyncIterator[Running]:
    async with running() as server:
        yield server
        server.cache.verify_unchanged()


@pytest.fixture
def api(run: Running) -> LocalTransport:
    return run.local()


@pytest.fixture
def refused() -> Callable[..., Any]:
    async def call(api: LocalTransport, method: str, path: str, body: Any = None, **how: Any) -> StatusError:
        with pytest.raises(StatusError) as caught:
            await api.request(method, path, body=body, **how)
        return caught.value

    return call
