"""What people do with Jobs, CronJobs, StatefulSets and DaemonSets; `users.py` chooses among these and its own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from minik.api import meta
from minik.api.meta import Obj, ROObj

if TYPE_CHECKING:
    from tests.support.simulation.users import User

JOBS, CRONJOBS, STATEFUL, DAEMONS = "jobs.batch", "cronjobs.batch", "statefulsets.apps", "daemonsets.apps"
STRAY = "stray"
"""Label of a pod that was taken out of its set: it has that as its owner until the set has let it go."""
BUDGETS = "poddisruptionbudgets.policy"


def job_spec(rng: random.Random, template: Obj) -> Obj:
    """A Job that ends: its pods run for some seconds, and some of them fail."""
    seconds, fails = rng.randint(0, 20), rng.random() < 0.3
    exit_code = f"exit {rng.choice((1, 3, 42))}" if fails else "true"
    container = {**template["spec"]["containers"][0], "command": ["sh", "-c", f"sleep {seconds}; {exit_code}"]}
    pod: Obj = {"containers": [container], "restartPolicy": "Never"}
    spec: Obj = {"template": {"spec": pod}, "backoffLimit": rng.randint(0, 2), "parallelism": rng.randint(1, 3)}
    if rng.random() < 0.8:
        spec["completions"] = rng.randint(1, 5)
    if "completions" in spec and rng.random() < 0.5:
        spec["completionMode"] = "Indexed"
        if fails and rng.random() < 0.5:
            spec |= {"backoffLimitPerIndex": rng.randint(0, 1), "maxFailedIndexes": rng.randint(0, 3)}
            spec.pop("backoffLimit")
        elif rng.random() < 0.3:
            spec["successPolicy"] = {"rules": [{"succeededCount": 1}]}
    elif rng.random() < 0.3:
        pod["restartPolicy"] = "OnFailure"
    if fails and pod["restartPolicy"] == "Never" and rng.random() < 0.4:
        action = rng.choice(("FailJob", "Count", "Ignore"))
        on = {"operator": "In", "values": [42]}
        spec["podFailurePolicy"] = {"rules": [{"action": "Count" if action == "Ignore" else action, "onExitCodes": on}]}
    if rng.random() < 0.2:
        spec["ttlSecondsAfterFinished"] = rng.choice((0, 5))
    if rng.random() < 0.15:
        spec["activeDeadlineSeconds"] = rng.randint(5, 60)
    if rng.random() < 0.15:
        spec["suspend"] = True
    return spec


async def create_job(user: User) -> None:
    name = user.new_name("job")
    spec = job_spec(user.rng, user.template(name))
    await user.create(JOBS, {"metadata": {"name": name, "namespace": user.namespace()}, "spec": spec})


async def suspend_job(user: User) -> None:
    await user.change(JOBS, lambda draft: draft["spec"].update(suspend=not draft["spec"].get("suspend")))


async def widen_job(user: User) -> None:
    number = user.rng.randint(0, 4)
    await user.change(JOBS, lambda draft: draft["spec"].update(parallelism=number))


async def delete_job(user: User) -> None:
    await user.delete(JOBS, propagation=user.rng.choice(("Background", "Foreground")))


async def create_cronjob(user: User) -> None:
    rng, name = user.rng, user.new_name("cron")
    job = job_spec(rng, user.template(name))
    job.pop("suspend", None)
    spec: Obj = {
        "schedule": rng.choice(("* * * * *", "*/2 * * * *")),
        "concurrencyPolicy": rng.choice(("Allow", "Forbid", "Replace")),
        "jobTemplate": {"spec": job},
    }
    if rng.random() < 0.3:
        spec["startingDeadlineSeconds"] = rng.choice((20, 200))
    await user.create(CRONJOBS, {"metadata": {"name": name, "namespace": user.namespace()}, "spec": spec})


async def delete_cronjob(user: User) -> None:
    await user.delete(CRONJOBS, propagation=user.rng.choice(("Background", "Foreground")))


def _stateful_template(user: User, name: str) -> Obj:
    template = user.template(name)
    template["spec"].pop("initContainers", None)
    if (
        template["spec"].get("terminationGracePeriodSeconds") == 0
    ):  # as Kubernetes says: it would give names out too early
        template["spec"]["terminationGracePeriodSeconds"] = 1
    return template


async def create_stateful(user: User) -> None:
    rng, name = user.rng, user.new_name("db")
    spec: Obj = {
        "replicas": rng.randint(0, 4), "serviceName": name, "selector": {"matchLabels": {"app": name}},
        "template": _stateful_template(user, name),
    }  # fmt: skip
    if rng.random() < 0.4:
        spec["podManagementPolicy"] = "Parallel"
    if rng.random() < 0.2:
        spec["ordinals"] = {"start": rng.randint(1, 3)}
    if rng.random() < 0.5:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
        keeps = {"whenDeleted": rng.choice(("Retain", "Delete")), "whenScaled": rng.choice(("Retain", "Delete"))}
        spec["persistentVolumeClaimRetentionPolicy"] = keeps
    await user.create(STATEFUL, {"metadata": {"name": name, "namespace": user.namespace()}, "spec": spec})


async def scale_stateful(user: User) -> None:
    number = user.rng.randint(0, 5)
    await user.change(STATEFUL, lambda draft: draft["spec"].update(replicas=number))


async def set_stateful_image(user: User) -> None:
    await user.change(STATEFUL, user.put_image)


async def delete_stateful(user: User) -> None:
    await user.delete(STATEFUL, propagation=user.rng.choice(("Background", "Foreground", "Orphan")))


async def delete_claim(user: User) -> None:
    """It goes when no pod uses it any more; the next pod of that name gets a new one."""
    await user.delete("persistentvolumeclaims")


async def create_daemons(user: User) -> None:
    rng, name = user.rng, user.new_name("ds")
    template = user.template(name)
    spec: Obj = {"selector": {"matchLabels": {"app": name}}, "template": template}
    if rng.random() < 0.3:
        spec["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    if rng.random() < 0.2:
        spec["minReadySeconds"] = rng.randint(1, 3)
    await user.create(DAEMONS, {"metadata": {"name": name, "namespace": user.namespace()}, "spec": spec})


async def set_daemons_image(user: User) -> None:
    await user.change(DAEMONS, user.put_image)


async def delete_daemons(user: User) -> None:
    await user.delete(DAEMONS, propagation=user.rng.choice(("Background", "Foreground")))


async def create_budget(user: User) -> None:
    """For the pods of some Deployment."""
    deployment = await user.some("deployments.apps")
    if deployment is None:
        return
    limit = user.rng.choice(({"minAvailable": 1}, {"minAvailable": "50%"}, {"maxUnavailable": 1}))
    spec = {**limit, "selector": {"matchLabels": {"app": meta.name(deployment)}}}
    metadata = {"name": user.new_name("budget"), "namespace": meta.namespace(deployment)}
    await user.create(BUDGETS, {"metadata": metadata, "spec": spec})


async def delete_budget(user: User) -> None:
    await user.delete(BUDGETS)


async def relabel_pod(user: User) -> None:
    """Takes a pod out of its set, or gives one that is nobody's to a set."""
    sets = [
        each for each in (await user.client.list("replicasets.apps")).items if meta.namespace(each).startswith("ns-")
    ]
    if not sets:
        return
    chosen = user.rng.choice(sets)
    pods = (await user.client.list("pods", meta.namespace(chosen))).items
    mine = [pod for pod in pods if meta.is_controlled_by(pod, chosen)]
    strays = [pod for pod in pods if meta.controller_of(pod) is None and STRAY in meta.labels(pod)]
    if strays and user.rng.random() < 0.5:
        labels = {**chosen["spec"]["selector"]["matchLabels"], STRAY: None}
        await _label(user, user.rng.choice(strays), labels)
    elif mine:
        labels = {**dict.fromkeys(chosen["spec"]["selector"]["matchLabels"]), STRAY: "yes"}
        await _label(user, user.rng.choice(mine), labels)


async def _label(user: User, pod: ROObj, labels: Obj) -> None:
    patch = {"metadata": {"labels": labels, "uid": meta.uid(pod)}}
    await user.client.patch("pods", meta.name(pod), meta.namespace(pod), patch)
    user.say(f"labelled {meta.key(pod)}: {labels}")


async def let_end(user: User) -> None:
    """At the end: no further runs, and what was stopped goes on."""
    for cronjob in (await user.client.list(CRONJOBS)).items:
        if not cronjob["spec"].get("suspend"):
            patch: Obj = {"spec": {"suspend": True}}
            await user.client.patch(CRONJOBS, meta.name(cronjob), meta.namespace(cronjob), patch)
    for job in (await user.client.list(JOBS)).items:
        if job["spec"].get("suspend") or job["spec"].get("parallelism") == 0:
            patch = {"spec": {"suspend": False, "parallelism": max(1, job["spec"].get("parallelism", 1))}}
            await user.client.patch(JOBS, meta.name(job), meta.namespace(job), patch)
