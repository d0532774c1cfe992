"""People with kubectl: they create, change and delete, read what there is before, and try again when it did not work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from minik.api import meta
from minik.api.errors import (
    Conflict,
    InternalError,
    NotFound,
    ServiceUnavailable,
    StatusError,
    Timeout,
    TooManyRequests,
)
from minik.api.meta import Key, Obj, ROObj
from minik.client.client import Client
from tests.support.simulation import workloads
from tests.support.simulation.history import History
from tests.support.simulation.subjects import hosts
from tests.support.simulation.subjects.subject import Do, Subject

FINALIZER = "simulation.test/wait"
_IMAGES = ("app:1", "app:2", "app:3", "other:1", "registry.test/tools/app:7")
_AGAIN = (Conflict, ServiceUnavailable, TooManyRequests, InternalError, Timeout)
_ATTEMPTS = 8
_LIKING = 2.0
"""How much more people care for their subjects than for workloads."""


class User:
    """One person. `gentle`: takes no pods away, and creates Deployments only."""

    def __init__(
        self, name: str, client: Client, rng: random.Random, history: History, *, gentle: bool, namespaces: int,
        subjects: Sequence[Subject] = (),
    ) -> None:  # fmt: skip
        self.name = name
        self.subjects = subjects
        self.client, self.rng = client, rng
        self._history, self._gentle = history, gentle
        self._namespaces = [f"ns-{number}" for number in range(namespaces)]
        self._made = 0

    async def work(self, until: float, pause: float) -> None:
        """Do this and that until the loop's time is `until`; `pause`: seconds between, on average."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.rng.random())
        special = [(do, _LIKING * weight) for subject in self.subjects for do, weight in subject.actions]
        actions, weights = zip(*(_GENTLE if self._gentle else (*_ACTIONS, *special)), strict=True)
        if self.rng.random() < 0.9:
            await self.attempt(create_namespace)
            await self.attempt(create_deployment)
            if not self._gentle:
                await self.attempt(self.rng.choice(_WORKLOADS))
                for subject in self.subjects:
                    for action in subject.starts:
                        await self.attempt(action)
        while loop.time() < until:
            (action,) = self.rng.choices(actions, weights)
            await self.attempt(action)
            await asyncio.sleep(self.rng.expovariate(1.0 / pause))

    async def attempt(self, action: Do) -> bool:
        """Do it, again and again while it fails as it may; says whether it worked."""
        name = action.__name__
        for attempt in range(_ATTEMPTS):
            try:
                await action(self)
            except _AGAIN as error:
                self.say(f"{name}: {error.reason}, attempt {attempt}")
                await asyncio.sleep(self.rng.uniform(0.05, 1.0) * (attempt + 1))
            except NotFound as error:
                self.say(f"{name}: {error.message}")
                if action is create_namespace or "namespaces" not in error.message:
                    return False
                action, name = create_namespace, "create_namespace"
            except StatusError as error:
                self.say(f"{name}: {error.reason}: {error.message}")
                return False
            else:
                return True
        return False

    def say(self, text: str) -> None:
        self._history.note("user", f"{self.name} {text}")

    # --- what they need ----------------------------------------------------------------------------------------------

    def new_name(self, what: str) -> str:
        self._made += 1
        return f"{what}-{self.name}-{self._made}"

    def namespace(self) -> str:
        return self.rng.choice(self._namespaces)

    async def some(self, resource: str) -> ROObj | None:
        """Any object of theirs that is not somebody's child (`subjects/custom.py`), or None."""
        every = (await self.client.list(resource)).items
        found = [
            obj for obj in every if meta.namespace(obj).startswith("ns-") and not meta.name(obj).startswith("child-")
        ]
        return self.rng.choice(found) if found else None

    async def change(self, resource: str, edit: Callable[[Obj], None]) -> None:
        """Read some object, edit, write."""
        obj = await self.some(resource)
        if obj is None:
            return
        draft = meta.draft(obj)
        draft["spec"] = _copy(draft["spec"])
        edit(draft)
        await self.client.update(resource, draft)
        self.say(f"changed {resource} {meta.key(obj)}")

    async def create(self, resource: str, obj: Obj) -> None:
        await self.client.create(resource, obj)
        self.say(f"created {resource} {meta.key(obj)}")

    async def delete(self, resource: str, **options: Any) -> None:
        obj = await self.some(resource)
        if obj is None:
            return
        try:
            await self.client.delete(resource, meta.name(obj), meta.namespace(obj), **options)
        except NotFound:
            return
        self.say(f"deleted {resource} {meta.key(obj)} {options}")

    def template(self, app: str) -> Obj:
        container: Obj = {"name": "c", "image": self.rng.choice(_IMAGES), "resources": {"requests": {"cpu": "100m"}}}
        spec: Obj = {"containers": [container]}
        if self.rng.random() < 0.15:
            spec["containers"] = [container, {"name": "side", "image": "side:1"}]
        if self.rng.random() < 0.15:
            spec["initContainers"] = [{"name": "init", "image": "init:1", "command": ["sleep", "1"]}]
        if self.rng.random() < 0.7:
            spec["terminationGracePeriodSeconds"] = self.rng.choice((0, 1, 5))
        return {"metadata": {"labels": {"app": app}}, "spec": spec}

    def put_image(self, draft: Obj) -> None:
        draft["spec"]["template"]["spec"]["containers"][0]["image"] = self.rng.choice(_IMAGES)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(each) for key, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value


# --- what they do ----------------------------------------------------------------------------------------------------


async def create_namespace(user: User) -> None:
    await user.create("namespaces", {"metadata": {"name": user.namespace()}})


async def delete_namespace(user: User) -> None:
    name = user.namespace()
    await user.client.delete("namespaces", name)
    user.say(f"deleted namespace {name}")


async def create_deployment(user: User) -> None:
    rng, name = user.rng, user.new_name("web")
    spec: Obj = {
        "replicas": rng.randint(1, 5),
        "selector": {"matchLabels": {"app": name}},
        "template": user.template(name),
        "revisionHistoryLimit": rng.choice((0, 1, 10)),
    }
    if rng.random() < 0.2:
        spec["strategy"] = {"type": "Recreate"}
    elif rng.random() < 0.6:
        most = rng.choice((0, 1, 2, "50%"))
        rolling = {
            "maxUnavailable": most,
            "maxSurge": rng.choice((1, 2, "25%", "100%")) if not most else rng.choice((0, 1)),
        }
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    if rng.random() < 0.2:
        spec["minReadySeconds"] = rng.randint(1, 5)
    await user.create("deployments.apps", {"metadata": {"name": name, "namespace": user.namespace()}, "spec": spec})
    if rng.random() < 0.5:
        service = {"selector": {"app": name}, "ports": [{"port": 80}]}
        await user.create("services", {"metadata": {"name": name, "namespace": user.namespace()}, "spec": service})


async def scale_deployment(user: User) -> None:
    number = user.rng.randint(0, 6)
    await user.change("deployments.apps", lambda draft: draft["spec"].update(replicas=number))


async def set_image(user: User) -> None:
    await user.change("deployments.apps", user.put_image)


async def pause_deployment(user: User) -> None:
    await user.change("deployments.apps", lambda draft: draft["spec"].update(paused=not draft["spec"].get("paused")))


async def roll_back(user: User) -> None:
    """`kubectl rollout undo`: the template of some former ReplicaSet."""
    deployment = await user.some("deployments.apps")
    if deployment is None:
        return
    sets = (await user.client.list("replicasets.apps", meta.namespace(deployment))).items
    former = [each for each in sets if meta.is_controlled_by(each, deployment)]
    if not former:
        return
    template = _copy(user.rng.choice(former)["spec"]["template"])
    template["metadata"]["labels"].pop("pod-template-hash", None)
    draft = meta.draft(deployment)
    draft["spec"] = {**_copy(draft["spec"]), "template": template}
    await user.client.update("deployments.apps", draft)
    user.say(f"rolled back {meta.key(deployment)}")


async def delete_deployment(user: User) -> None:
    await user.delete("deployments.apps", propagation=user.rng.choice(("", "Background", "Foreground", "Orphan")))


async def create_set(user: User) -> None:
    rng, name, namespace = user.rng, user.new_name("set"), user.namespace()
    spec: Obj = {"replicas": rng.randint(0, 4), "template": user.template(name)}
    if rng.random() < 0.5:
        spec["selector"] = {"matchLabels": {"app": name}}
        await user.create("replicasets.apps", {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
    else:
        spec["selector"] = {"app": name}
        await user.create("replicationcontrollers", {"metadata": {"name": name, "namespace": namespace}, "spec": spec})


async def scale_set(user: User) -> None:
    number = user.rng.randint(0, 5)
    resource = user.rng.choice(("replicasets.apps", "replicationcontrollers"))
    await user.change(resource, lambda draft: draft["spec"].update(replicas=number))


async def delete_set(user: User) -> None:
    resource = user.rng.choice(("replicasets.apps", "replicationcontrollers"))
    await user.delete(resource, propagation=user.rng.choice(("", "Background", "Foreground", "Orphan")))


async def create_pod(user: User) -> None:
    rng = user.rng
    name = user.new_name("pod")
    pod = user.template(name)
    pod["metadata"] |= {"name": name, "namespace": user.namespace()}
    if rng.random() < 0.3:
        pod["spec"]["containers"][0]["command"] = ["sh", "-c", f"sleep {rng.randint(1, 40)}; exit {rng.choice((0, 1))}"]
        pod["spec"]["restartPolicy"] = "Never"
    await user.create("pods", pod)


async def set_pod_image(user: User) -> None:
    """The container is made anew, in place."""
    pod = await user.some("pods")
    if pod is not None:
        patch = [{"op": "replace", "path": "/spec/containers/0/image", "value": user.rng.choice(_IMAGES)}]
        await user.client.patch("pods", meta.name(pod), meta.namespace(pod), patch, type="json")
        user.say(f"set the image of {meta.key(pod)}")


async def delete_pod(user: User) -> None:
    """Never at once if it has a name of its own: that may give the name out while its containers still run (Kubernetes says so)."""
    pod = await user.some("pods")
    if pod is None:
        return
    owner = meta.controller_of(pod) or {}
    grace = user.rng.choice((None, None, 1, 5) if owner.get("kind") == "StatefulSet" else (None, None, 0, 1, 5))
    try:
        await user.client.delete("pods", meta.name(pod), meta.namespace(pod), grace_seconds=grace)
    except NotFound:
        return
    user.say(f"deleted pods {meta.key(pod)} {grace}")


async def evict_pod(user: User) -> None:
    pod = await user.some("pods")
    if pod is not None:
        await user.client.evict(Key(meta.namespace(pod), meta.name(pod)))
        user.say(f"evicted {meta.key(pod)}")


async def create_service(user: User) -> None:
    deployment = await user.some("deployments.apps")
    if deployment is not None:
        spec = {"selector": {"app": meta.name(deployment)}, "ports": [{"port": user.rng.choice((80, 443))}]}
        metadata = {"name": user.new_name("svc"), "namespace": meta.namespace(deployment)}
        await user.create("services", {"metadata": metadata, "spec": spec})


async def delete_service(user: User) -> None:
    await user.delete("services")


async def create_config(user: User) -> None:
    metadata: Obj = {"name": user.new_name("config"), "namespace": user.namespace()}
    if user.rng.random() < 0.2:
        metadata["finalizers"] = [FINALIZER]
    await user.create("configmaps", {"metadata": metadata, "data": {"number": str(user.rng.randint(0, 9))}})


async def patch_config(user: User) -> None:
    config = await user.some("configmaps")
    if config is not None and meta.name(config) != "kube-root-ca.crt":
        patch = {"data": {f"key-{user.rng.randint(0, 3)}": str(user.rng.randint(0, 9))}}
        await user.client.patch("configmaps", meta.name(config), meta.namespace(config), patch)


async def delete_config(user: User) -> None:
    await user.delete("configmaps")


async def release(user: User) -> None:
    """Take a finalizer away."""
    held = [obj for obj in (await user.client.list("configmaps")).items if FINALIZER in meta.finalizers(obj)]
    if held:
        config = user.rng.choice(held)
        patch = {"metadata": {"finalizers": None}}
        await user.client.patch("configmaps", meta.name(config), meta.namespace(config), patch)


async def cordon(user: User) -> None:
    nodes = (await user.client.list("nodes")).items
    if nodes:
        node = user.rng.choice(nodes)
        patch = {"spec": {"unschedulable": True if not node["spec"].get("unschedulable") else None}}
        await user.client.patch("nodes", meta.name(node), "", patch)


async def tidy_up(user: User) -> None:
    """At the end: let everything go on that somebody held up."""
    for node in (await user.client.list("nodes")).items:
        if node["spec"].get("unschedulable"):
            await user.client.patch("nodes", meta.name(node), "", {"spec": {"unschedulable": None}})
        await hosts.restore(user, node)
    for config in (await user.client.list("configmaps")).items:
        if FINALIZER in meta.finalizers(config):
            patch: Obj = {"metadata": {"finalizers": None}}
            await user.client.patch("configmaps", meta.name(config), meta.namespace(config), patch)
    for deployment in (await user.client.list("deployments.apps")).items:
        if deployment["spec"].get("paused"):
            patch = {"spec": {"paused": None}}
            await user.client.patch("deployments.apps", meta.name(deployment), meta.namespace(deployment), patch)
    await workloads.let_end(user)
    for subject in user.subjects:
        if subject.tidy is not None:
            await subject.tidy(user)


_WORKLOADS: Sequence[Do] = (
    workloads.create_job, workloads.create_cronjob, workloads.create_stateful, workloads.create_daemons,
)  # fmt: skip
_ACTIONS: Sequence[tuple[Do, float]] = (
    (create_namespace, 3.0), (delete_namespace, 0.3), (create_deployment, 4.0), (scale_deployment, 5.0), (set_image, 5.0),
    (pause_deployment, 1.0), (roll_back, 2.0), (delete_deployment, 1.5), (create_set, 2.0), (scale_set, 2.0),
    (delete_set, 1.0), (create_pod, 3.0), (set_pod_image, 2.0), (delete_pod, 4.0),
    (evict_pod, 1.0), (create_service, 1.0), (delete_service, 0.5),
    (create_config, 2.0), (patch_config, 3.0), (delete_config, 1.0), (release, 1.0), (cordon, 0.5),
    (workloads.relabel_pod, 1.5),
    (workloads.create_job, 3.0), (workloads.suspend_job, 1.0), (workloads.widen_job, 1.0), (workloads.delete_job, 1.0),
    (workloads.create_cronjob, 0.7), (workloads.delete_cronjob, 0.3), (workloads.create_stateful, 2.0),
    (workloads.scale_stateful, 2.0), (workloads.set_stateful_image, 2.0), (workloads.delete_stateful, 0.7),
    (workloads.delete_claim, 0.4), (workloads.create_budget, 1.0), (workloads.delete_budget, 0.3),
    (workloads.create_daemons, 0.7), (workloads.set_daemons_image, 1.0), (workloads.delete_daemons, 0.5),
)  # fmt: skip
_GENTLE: Sequence[tuple[Do, float]] = (
    (create_namespace, 2.0), (create_deployment, 3.0), (set_image, 8.0), (pause_deployment, 1.0), (roll_back, 2.0),
    (create_config, 1.0), (patch_config, 1.0),
)  # fmt: skip
