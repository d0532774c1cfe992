"""ResourceQuotas and LimitRanges: no quota is exceeded at any revision, and what its status says is so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from minik.api import meta
from minik.api.core_v1 import quotas
from minik.api.meta import Obj, ROObj
from minik.api.quantity import parse
from minik.clock import LoopClock
from tests.support.simulation.subjects.subject import Problem, Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

QUOTAS, RANGES = "resourcequotas", "limitranges"
_COUNTED = (
    "pods", "services", "configmaps", "persistentvolumeclaims", "deployments.apps", "jobs.batch", "replicasets.apps",
    "secrets",
)  # fmt: skip
_NAMES = {
    "pods": ("2", "5", "8"), "requests.cpu": ("500m", "1", "2"), "count/pods": ("6", "10"), "services": ("1", "3"),
    "services.nodeports": ("1", "2"), "configmaps": ("2", "4"), "persistentvolumeclaims": ("1", "3"),
    "count/deployments.apps": ("1", "3"), "count/jobs.batch": ("1", "4"), "count/replicasets.apps": ("2", "6"),
    "secrets": ("1", "3"), "requests.storage": ("1Gi", "2Gi"),
}  # fmt: skip
_WIDE = "1000"
_LONGEST_ERROR = 1000.0
"""Seconds that the server's clock is wrong at most (`faults.py`): it may take a pod's time for over that much too early."""


def _hard(user: User) -> Obj:
    names = user.rng.sample(sorted(_NAMES), user.rng.randint(1, 4))
    return {name: user.rng.choice(_NAMES[name]) for name in names}


async def create_quota(user: User) -> None:
    metadata = {"name": user.new_name("quota"), "namespace": user.namespace()}
    await user.create(QUOTAS, {"metadata": metadata, "spec": {"hard": _hard(user)}})


async def change_quota(user: User) -> None:
    hard = _hard(user)
    await user.change(QUOTAS, lambda draft: draft["spec"].update(hard=hard))


async def delete_quota(user: User) -> None:
    await user.delete(QUOTAS)


def _defaults(name: str, namespace: str) -> Obj:
    amounts = {"cpu": "50m", "memory": "16Mi"}
    limits = [{"type": "Container", "defaultRequest": amounts, "max": {"cpu": "16"}, "default": {"cpu": "16"}}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"limits": limits}}


async def create_range(user: User) -> None:
    await user.create(RANGES, _defaults(user.new_name("range"), user.namespace()))


async def delete_range(user: User) -> None:
    await user.delete(RANGES)


async def resize_pod(user: User) -> None:
    """In place, if its quota lets it."""
    pod = await user.some("pods")
    if pod is not None:
        container = {"name": "c", "resources": {"requests": {"cpu": user.rng.choice(("50m", "200m", "600m"))}}}
        patch = {"spec": {"containers": [container]}}
        name, namespace = meta.name(pod), meta.namespace(pod)
        await user.client.patch("pods", name, namespace, patch, type="strategic", subresource="resize")


async def tidy(user: User) -> None:
    """Room for everything, and requests for what names none."""
    for quota in (await user.client.list(QUOTAS)).items:
        namespace = meta.namespace(quota)
        hard = {name: f"{_WIDE}Gi" if name == "requests.storage" else _WIDE for name in quota["spec"]["hard"]}
        await user.client.patch(QUOTAS, meta.name(quota), namespace, {"spec": {"hard": hard}})
        if not (await user.client.list(RANGES, namespace)).items:
            await user.client.create(RANGES, _defaults("tidy", namespace))


class _Judge:
    """Adds everything up after each write: what uses a quota grows within its limits only."""

    resources = (*_COUNTED, QUOTAS)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._objects: dict[tuple[str, str], dict[str, ROObj]] = {}
        self._quotas: dict[str, dict[str, ROObj]] = {}
        self._clock = LoopClock()

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        resource, namespace, _ = key.split("/", 2)
        if resource == QUOTAS:
            self._put(self._quotas.setdefault(namespace, {}), key, new)
            return
        known = self._objects.setdefault((resource, namespace), {})
        if not self._quotas.get(namespace):
            self._put(known, key, new)
            return
        now = self._clock.now().timestamp()
        before = quotas.usage(resource, old, now=0) if old is not None else {}
        after = quotas.usage(resource, new, now=0) if new is not None else {}
        self._put(known, key, new)
        for quota in self._quotas[namespace].values():
            for name in quotas.names_for(quota, resource):
                if after.get(name, 0) > before.get(name, 0):
                    used = sum(_used(resource, obj, name, now) for obj in known.values())
                    if used > quotas.limit(quota, name):
                        shown = quotas.show(name, used), quota["spec"]["hard"][name]
                        self._problem(f"{key} uses {name} of quota {name_of(quota)} up to {shown[0]} of {shown[1]}")

    def look(self) -> None:
        """Each event was judged by itself."""

    @staticmethod
    def _put(known: dict[str, ROObj], key: str, new: ROObj | None) -> None:
        if new is None:
            known.pop(key, None)
        else:
            known[key] = new


def _used(resource: str, obj: ROObj, name: str, now: float) -> int:
    """Of a pod that should have gone by some clock nothing is counted."""
    end = quotas.until(resource, obj)
    if end is not None and now + 2 * _LONGEST_ERROR > end:
        return quotas.usage(resource, obj, now=end + 1).get(name, 0)
    return quotas.usage(resource, obj, now=0).get(name, 0)


def unsettled(view: View) -> Iterator[str]:
    """What a quota's status says is what there is."""
    now = asyncio.get_running_loop().time()
    for quota in view.all(QUOTAS):
        what, status, hard = f"quota {name_of(quota)}", quota.get("status") or {}, quota["spec"]["hard"]
        if status.get("hard") != hard:
            yield f"{what}: says hard {status.get('hard')}, is {hard}"
            continue
        for name in hard:
            resource = quotas.resource_of(name)
            mine = [obj for obj in view.all(resource) if meta.namespace(obj) == meta.namespace(quota)]
            total = sum(quotas.usage(resource, obj, now=now).get(name, 0) for obj in mine)
            if parse((status.get("used") or {}).get(name, "0")).nanos != total:
                yield f"{what}: says {name} is {(status.get('used') or {}).get(name)}, is {quotas.show(name, total)}"


SUBJECT = Subject(
    "quotas",
    actions=(
        (resize_pod, 2.0), (create_quota, 2.0), (change_quota, 2.0), (delete_quota, 0.5), (create_range, 1.0), (delete_range, 0.5),
    ),
    starts=(create_quota,),
    tidy=tidy,
    unsettled=unsettled,
    watchers=(_Judge,),
)  # fmt: skip
