"""CustomResourceDefinitions, their objects, and owners across kinds: chains, several owners, cycles, orphans, owners that never were.

Children (`child-…`) are never deleted by people, so that whatever becomes of one is the garbage collector's doing: it must not go while
somebody owns it, and must not stay when all its owners are gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minik.api import meta
from minik.api.apiextensions_v1.kinds import kinds_of
from minik.api.apiextensions_v1.names import plan_status
from minik.api.errors import NotFound
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from tests.support.simulation.subjects.subject import NoLook, Problem, Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

GROUP, DEFINITIONS = "simulation.test", "customresourcedefinitions.apiextensions.k8s.io"
APISERVICES = "apiservices.apiregistration.k8s.io"
GADGETS, HUBS = f"gadgets.{GROUP}", f"hubs.{GROUP}"
_KINDS = {"gadgets": "Gadget", "hubs": "Hub"}
_CHILD = "child-"
_OWNABLE = ("configmaps", "deployments.apps", "services", "jobs.batch")
_OWNER_KINDS = {
    "configmaps": ("v1", "ConfigMap"),
    "deployments.apps": ("apps/v1", "Deployment"),
    "services": ("v1", "Service"),
    "jobs.batch": ("batch/v1", "Job"),
}


def definition(plural: str) -> Obj:
    """Gadgets are in namespaces, hubs are not."""
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "singular": plural[:-1], "kind": _KINDS[plural], "listKind": f"{_KINDS[plural]}List"}
    scope = "Namespaced" if plural == "gadgets" else "Cluster"
    spec = {"group": GROUP, "names": names, "scope": scope, "versions": [version]}
    return {"metadata": {"name": f"{plural}.{GROUP}"}, "spec": spec}


def kinds() -> list[Kind]:
    """Those that are defined here, for clients that have to know them beforehand."""
    made = [definition(plural) for plural in sorted(_KINDS)]
    return [kind for each in made for kind in kinds_of({**each, "status": plan_status(each, (), now="")})]


async def announce_service(user: User) -> None:
    """An API that somebody else would serve, if he were there."""
    version = f"v{user.rng.randint(1, 2)}"
    service = {"name": "absent", "namespace": user.namespace()}
    spec = {"group": "outside.test", "version": version, "service": service, "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100, "versionPriority": 10}  # fmt: skip
    await user.create(APISERVICES, {"metadata": {"name": f"{version}.outside.test"}, "spec": spec})


async def withdraw_service(user: User) -> None:
    """One of those, or one that is the server's own: that comes again."""
    found = [each for each in (await user.client.list(APISERVICES)).items if meta.name(each).endswith(".test")]
    if found:
        await user.client.delete(APISERVICES, meta.name(user.rng.choice(found)))


def _path(plural: str, namespace: str = "", name: str = "") -> str:
    inside = f"namespaces/{namespace}/" if namespace else ""
    return f"/apis/{GROUP}/v1/{inside}{plural}" + (f"/{name}" if name else "")


def gadget(plural: str, name: str, namespace: str, owners: list[Obj]) -> Obj:
    metadata: Obj = {"name": name, "ownerReferences": owners}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": f"{GROUP}/v1", "kind": _KINDS[plural], "metadata": metadata, "spec": {"size": 1}}


async def _post(user: User, plural: str, obj: Obj) -> ROObj:
    namespace = obj["metadata"].get("namespace") or ""
    made = await user.client.transport.request("POST", _path(plural, namespace), body=obj)
    user.say(f"created {plural} {meta.key(made)}")
    return made


async def _all(user: User, plural: str, namespace: str = "") -> list[ROObj]:
    return list((await user.client.transport.list(_path(plural, namespace))).items)


async def define(user: User) -> None:
    await user.create(DEFINITIONS, definition(user.rng.choice(sorted(_KINDS))))


async def define_all(user: User) -> None:
    for plural in sorted(_KINDS):
        await user.create(DEFINITIONS, definition(plural))


async def undefine(user: User) -> None:
    await user.client.delete(DEFINITIONS, f"{user.rng.choice(sorted(_KINDS))}.{GROUP}")


def _reference(user: User, obj: ROObj, api_version: str, kind: str) -> Obj:
    reference = {"apiVersion": api_version, "kind": kind, "name": meta.name(obj), "uid": meta.uid(obj)}
    return {**reference, "blockOwnerDeletion": True} if user.rng.random() < 0.5 else reference


async def _owners(user: User, namespace: str) -> list[Obj]:
    """One or two, of any kind; now and then one that never was."""
    found: list[Obj] = []
    for _ in range(user.rng.choice((1, 1, 2))):
        what = user.rng.random()
        if what < 0.08:
            stranger = f"{user.rng.getrandbits(128):032x}"
            found.append({"apiVersion": "v1", "kind": "ConfigMap", "name": "never-was", "uid": stranger})
        elif what < 0.4:
            gadgets = await _all(user, "gadgets", namespace)
            found += [
                _reference(user, each, f"{GROUP}/v1", "Gadget") for each in gadgets and [user.rng.choice(gadgets)]
            ]
        elif what < 0.5:
            hubs = await _all(user, "hubs")
            found += [_reference(user, each, f"{GROUP}/v1", "Hub") for each in hubs and [user.rng.choice(hubs)]]
        else:
            resource = user.rng.choice(_OWNABLE)
            there = (await user.client.list(resource, namespace)).items
            found += [_reference(user, each, *_OWNER_KINDS[resource]) for each in there and [user.rng.choice(there)]]
    return list({owner["uid"]: owner for owner in found}.values())


async def create_gadget(user: User) -> None:
    """Nobody's, for others to belong to."""
    if user.rng.random() < 0.3:
        await _post(user, "hubs", gadget("hubs", user.new_name("hub"), "", []))
    else:
        await _post(user, "gadgets", gadget("gadgets", user.new_name("gadget"), user.namespace(), []))


async def create_child(user: User) -> None:
    namespace = user.namespace()
    owners = await _owners(user, namespace)
    if not owners:
        return
    name = user.new_name(_CHILD.rstrip("-"))
    if user.rng.random() < 0.6:
        await _post(user, "gadgets", gadget("gadgets", name, namespace, owners))
    else:
        metadata = {"name": name, "namespace": namespace, "ownerReferences": owners}
        await user.create("configmaps", {"metadata": metadata, "data": {}})


async def close_circle(user: User) -> None:
    """Some gadget now belongs to one of its own dependents too."""
    gadgets = await _all(user, "gadgets")
    pairs = [(o, c) for o in gadgets for c in gadgets if any(r["uid"] == meta.uid(o) for r in meta.owners(c))]
    if pairs:
        owner, child = user.rng.choice(pairs)
        refs = [*owner["metadata"].get("ownerReferences", ()), _reference(user, child, f"{GROUP}/v1", "Gadget")]
        refs = list({ref["uid"]: ref for ref in refs}.values())
        await _patch(user, owner, {"metadata": {"ownerReferences": refs, "uid": meta.uid(owner)}})


async def disown(user: User) -> None:
    """A child is nobody's any more."""
    children = [each for each in await _all(user, "gadgets") if meta.owners(each)]
    if children:
        child = user.rng.choice(children)
        await _patch(user, child, {"metadata": {"ownerReferences": None, "uid": meta.uid(child)}})


async def _patch(user: User, obj: ROObj, patch: Obj) -> None:
    path = _path("gadgets", meta.namespace(obj), meta.name(obj))
    await user.client.transport.request("PATCH", path, body=patch, content_type="application/merge-patch+json")
    user.say(f"changed gadget {meta.key(obj)} {patch}")


async def delete_gadget(user: User) -> None:
    plural = user.rng.choice(("gadgets", "gadgets", "hubs"))
    found = [each for each in await _all(user, plural) if not meta.name(each).startswith(_CHILD)]
    if not found:
        return
    obj = user.rng.choice(found)
    options: dict[str, Any] = {"propagationPolicy": user.rng.choice(("Background", "Foreground", "Orphan"))}
    try:
        await user.client.transport.request("DELETE", _path(plural, meta.namespace(obj), meta.name(obj)), body=options)
    except NotFound:
        return
    user.say(f"deleted {plural} {meta.key(obj)} {options}")


async def tidy(user: User) -> None:
    """Now and then a kind goes with all that is left of it."""
    if user.rng.random() < 0.5:
        with contextlib.suppress(NotFound):
            await undefine(user)


class _Collected(NoLook):
    """A child goes only when all that own it are gone, or wait for it to go; or everything of its namespace or its kind goes."""

    resources = ("configmaps", GADGETS, HUBS, *_OWNABLE[1:], "namespaces", DEFINITIONS)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._there: dict[str, ROObj] = {}
        self._going: set[str] = set()

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        resource, _, rest = key.partition("/")
        obj = new if new is not None else old
        if old is not None and (new is None or meta.uid(new) != meta.uid(old)):
            self._there.pop(meta.uid(old), None)
        if new is not None:
            self._there[meta.uid(new)] = new
        if resource in ("namespaces", DEFINITIONS):
            (self._going.add if new is None or meta.is_deleting(new) else self._going.discard)(rest.rpartition("/")[2])
            return
        if obj is None or not meta.name(obj).startswith(_CHILD) or (old is not None and meta.is_deleting(old)):
            return
        if (new is None or meta.is_deleting(new)) and not {meta.namespace(obj), resource} & self._going:
            for owner in meta.owners(obj):
                living = self._there.get(owner["uid"])
                if living is not None and not _takes_along(living):
                    self._problem(f"{key} goes, and its owner {owner['kind']} {owner['name']} is there")


def _takes_along(owner: ROObj) -> bool:
    return meta.is_deleting(owner) and "foregroundDeletion" in meta.finalizers(owner)


def unsettled(view: View) -> Iterator[str]:
    """Definitions are served; the objects of those that are gone are gone."""
    there = {meta.name(obj) for obj in view.all(DEFINITIONS)}
    for obj in view.all(DEFINITIONS):
        if (meta.condition(obj, "Established") or {}).get("status") != "True":
            yield f"definition {name_of(obj)}: is not established"
    for obj in view.all(APISERVICES):
        wanted = "False" if obj["spec"].get("group") == "outside.test" else "True"
        if (meta.condition(obj, "Available") or {}).get("status") != wanted:
            yield f"apiservice {name_of(obj)}: is available: {meta.condition(obj, 'Available')}"
    announced = any(obj["spec"].get("group") == GROUP for obj in view.all(APISERVICES))
    if announced != bool(there & {GADGETS, HUBS}):
        yield f"apiservice of {GROUP}: {'is there' if announced else 'is missing'}"
    for resource in (GADGETS, HUBS):
        if resource not in there and view.all(resource):
            yield f"{len(view.all(resource))} {resource} have outlived their definition"


SUBJECT = Subject(
    "custom",
    actions=(
        (create_gadget, 3.0), (create_child, 6.0), (close_circle, 1.0), (disown, 0.5), (delete_gadget, 2.5), (define, 1.0),
        (undefine, 0.7), (announce_service, 0.5), (withdraw_service, 0.3),
    ),
    starts=(define_all, announce_service),
    tidy=tidy,
    unsettled=unsettled,
    watchers=(_Collected,),
)  # fmt: skip
