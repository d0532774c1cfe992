"""The condition `Available` of APIServices that name a Service: is it there, has it endpoints, does it answer?

The server asks it on this controller's behalf (`server/aggregation.py`): the discovery document of the group and version must come.
While it does not, it is asked again, less and less often; once it does, only changes of the Service and its endpoints count.

Source: kube-aggregator `pkg/controllers/status/remote/remote_available_controller.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from minik.api import meta, times
from minik.api.apiregistration_v1.apiservice import AVAILABLE, LOCAL, RESOURCE, group_version, service_of
from minik.api.core_v1 import services
from minik.api.errors import NotFound, StatusError
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps_with, requeue_after
from minik.controllers.common.conditions import with_condition

_BY_SERVICE = "minik.apiservices-of-service"
_DISCOVERY_SECONDS = 5.0
_FIRST_RETRY, _LAST_RETRY = 1.0, 30.0
_PORT = 443


def plan_condition(apiservice: ROObj, service: ROObj | None, endpoints: ROObj | None) -> Obj | None:
    """The condition as far as objects tell it; None: it must be asked. Pure."""
    reference = service_of(apiservice)
    if reference is None:
        return dict(LOCAL)
    name, namespace, number = reference["name"], reference["namespace"], reference.get("port") or _PORT
    if service is None:
        return _unavailable("ServiceNotFound", f'service/{name} in "{namespace}" is not present')
    if services.type_of(service) == "ExternalName":
        return None
    port = next((port for port in services.ports(service) if port["port"] == number), None)
    if port is None:
        return _unavailable("ServicePortError", f'service/{name} in "{namespace}" is not listening on port {number}')
    if endpoints is None:
        return _unavailable("EndpointsNotFound", f'cannot find endpoints for service/{name} in "{namespace}"')
    if not _has_addresses(endpoints, port.get("name") or ""):
        words = (
            f'endpoints for service/{name} in "{namespace}" have no addresses with port name "{port.get("name") or ""}"'
        )
        return _unavailable("MissingEndpoints", words)
    return None


def _has_addresses(endpoints: ROObj, port: str) -> bool:
    return any(
        subset.get("addresses") and any((p.get("name") or "") == port for p in subset.get("ports") or ())
        for subset in endpoints.get("subsets") or ()
    )


def _unavailable(reason: str, message: str) -> Obj:
    return {"type": AVAILABLE, "status": "False", "reason": reason, "message": message}


async def reconcile(ctx: Context, key: Key) -> Result:
    """Ask, and write what came of it."""
    apiservice = ctx.cache(RESOURCE).get(key)
    if apiservice is None or meta.is_deleting(apiservice):
        return DONE
    reference = service_of(apiservice)
    of = Key(reference["namespace"], reference["name"]) if reference is not None else Key("", "")
    condition = plan_condition(apiservice, ctx.cache("services").get(of), ctx.cache("endpoints").get(of))
    asked = condition is None
    if condition is None:
        condition = await _ask(ctx, apiservice)
    since = await _set(ctx, apiservice, condition)
    if not asked or condition["status"] == "True":
        return DONE
    waited = (ctx.clock.now() - times.parse_time(since)).total_seconds()
    return requeue_after(min(max(waited, _FIRST_RETRY), _LAST_RETRY))


async def _ask(ctx: Context, apiservice: ROObj) -> Obj:
    group, version = group_version(apiservice)
    path = f"/apis/{group}/{version}"
    try:
        async with asyncio.timeout(_DISCOVERY_SECONDS):
            await ctx.client.transport.request("GET", path)
    except TimeoutError:
        return _unavailable(
            "FailedDiscoveryCheck", f"failing or missing response from {path}: no answer in {_DISCOVERY_SECONDS:.0f} s"
        )
    except StatusError as error:
        return _unavailable("FailedDiscoveryCheck", f"failing or missing response from {path}: {error.message}")
    return {"type": AVAILABLE, "status": "True", "reason": "Passed", "message": "all checks passed"}


async def _set(ctx: Context, apiservice: ROObj, condition: Mapping[str, Any]) -> str:
    """Write the condition if it says something else; since when it is so."""
    now = times.format_time(ctx.clock.now())
    old = (apiservice.get("status") or {}).get("conditions") or ()
    conditions = with_condition(old, condition, now=now)
    if conditions != list(old):
        patch = {"metadata": {"uid": meta.uid(apiservice)}, "status": {"conditions": conditions}}
        try:
            await ctx.client.patch(RESOURCE, meta.name(apiservice), "", patch, subresource="status")
        except NotFound:
            return now
    return str(next(c["lastTransitionTime"] for c in conditions if c["type"] == AVAILABLE))


def _index(apiservice: ROObj) -> list[str]:
    reference = service_of(apiservice)
    return [str(Key(reference.get("namespace") or "", reference.get("name") or ""))] if reference is not None else []


def _served_by(scope: Scope, obj: ROObj) -> Iterable[Key]:
    return [meta.key(each) for each in scope.cache(RESOURCE).by_index(_BY_SERVICE, str(meta.key(obj)))]


def _asks_anew(old: ROObj, new: ROObj) -> bool:
    """Another spec; what this controller writes is none of it."""
    return old.get("spec") != new.get("spec") or meta.is_deleting(old) != meta.is_deleting(new)


CONTROLLER = Controller(
    "apiservice-availability",
    primary=RESOURCE,
    triggers=[
        maps_with("services", _served_by, when=lambda old, new: old.get("spec") != new.get("spec")),
        maps_with("endpoints", _served_by, when=lambda old, new: old.get("subsets") != new.get("subsets")),
    ],
    reconcile=reconcile,
    when=_asks_anew,
    indexes={RESOURCE: {_BY_SERVICE: _index}},
    rbac=[can("patch", f"{RESOURCE}/status")],
)
