"""Small objects and raw requests for the tests here."""

from __future__ import annotations

from typing import Any

import orjson

from minik.server.request import Request, Response, User
from tests.support.apiserver import ADMIN, Running

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


def pod(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec},
    }


def configmap(name: str = "c", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"app": name}, **spec}}


def deployment(name: str = "web", **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def send(
    run: Running,
    method: str,
    url: str,
    body: bytes | Any = None,
    *,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
    user: User = ADMIN,
) -> tuple[Response, Request]:
    """A request as it comes from the wire (bytes), through the whole chain."""
    path, _, query_text = url.partition("?")
    query: dict[str, list[str]] = {}
    for part in query_text.split("&") if query_text else ():
        name, _, value = part.partition("=")
        query.setdefault(name, []).append(value)
    raw = body if isinstance(body, bytes | None) else orjson.dumps(body)
    request = Request(method, path, query, headers or {}, raw, content_type=content_type, user=user)
    return await run.server.handler(request), request


async def status(run: Running, method: str, url: str, body: bytes | Any = None, **more: Any) -> dict[str, Any]:
    """The `Status` that a refused request gets."""
    response, _ = await send(run, method, url, body, **more)
    assert response.status >= 400, response
    assert response.obj is not None
    return dict(response.obj)
