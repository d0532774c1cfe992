"""What must hold of Jobs, CronJobs, StatefulSets and DaemonSets once nothing goes wrong any more; see `checks.py`."""

from __future__ import annotations

from collections.abc import Iterator

from minik.api import meta
from minik.api.core_v1 import pods, volumes
from minik.api.selectors import matches
from tests.support.simulation.subjects.storage import STATIC
from tests.support.simulation.view import View, expect, name_of

TRACKING = "batch.kubernetes.io/job-tracking"


def jobs(view: View) -> Iterator[str]:
    for job in view.all("jobs.batch"):
        what, status, spec = f"job {name_of(job)}", job.get("status") or {}, job["spec"]
        ended = [c["type"] for c in status.get("conditions") or () if c["status"] == "True"]
        if not ("Complete" in ended or "Failed" in ended):
            yield f"{what}: has not ended: {ended}, {len(view.owned('pods', job))} pods"
            continue
        if "ttlSecondsAfterFinished" in spec:
            yield f"{what}: has ended and should be gone"
        yield from expect(what, status, {"active": 0, "ready": 0, "terminating": 0})
        uncounted = status.get("uncountedTerminatedPods") or {}
        if any(uncounted.values()):
            yield f"{what}: has pods to count: {uncounted}"
        for pod in view.owned("pods", job):
            if TRACKING in meta.finalizers(pod):
                yield f"{what}: pod {meta.name(pod)} has still the finalizer"
        number = spec.get("completions")
        if "Complete" in ended and number is not None and "successPolicy" not in spec:
            yield from expect(what, status, {"succeeded": number})


def cronjobs(view: View) -> Iterator[str]:
    for cronjob in view.all("cronjobs.batch"):
        what, spec, status = f"cronjob {name_of(cronjob)}", cronjob["spec"], cronjob.get("status") or {}
        if status.get("active"):
            yield f"{what}: {len(status['active'])} are active"
        kept = spec.get("successfulJobsHistoryLimit", 3) + spec.get("failedJobsHistoryLimit", 1)
        there = len(view.owned("jobs.batch", cronjob))
        if there > kept:
            yield f"{what}: keeps {there} Jobs, not {kept}"


def stateful_sets(view: View) -> Iterator[str]:
    for obj in view.all("statefulsets.apps"):
        what, status, number = f"statefulset {name_of(obj)}", obj.get("status") or {}, obj["spec"]["replicas"]
        wanted = {"observedGeneration": meta.generation(obj), "replicas": number, "readyReplicas": number}
        wanted |= {"availableReplicas": number, "currentReplicas": number, "updatedReplicas": number}
        yield from expect(what, status, wanted)
        revision = status.get("updateRevision")
        if status.get("currentRevision") != revision:
            yield f"{what}: is at {status.get('currentRevision')}, not at {revision}"
        start = (obj["spec"].get("ordinals") or {}).get("start", 0)
        names = sorted(f"{meta.name(obj)}-{start + ordinal}" for ordinal in range(number))
        own = view.owned("pods", obj)
        if sorted(meta.name(pod) for pod in own) != names:
            yield f"{what}: has {sorted(meta.name(pod) for pod in own)}, not {names}"
        for pod in own:
            if meta.labels(pod).get("controller-revision-hash") != revision:
                yield f"{what}: pod {meta.name(pod)} is not of {revision}"


def daemon_sets(view: View, nodes: int) -> Iterator[str]:
    for obj in view.all("daemonsets.apps"):
        what, status = f"daemonset {name_of(obj)}", obj.get("status") or {}
        wanted = {"observedGeneration": meta.generation(obj), "desiredNumberScheduled": nodes, "numberMisscheduled": 0}
        wanted |= dict.fromkeys(
            ("currentNumberScheduled", "numberReady", "numberAvailable", "updatedNumberScheduled"), nodes
        )
        yield from expect(what, status, wanted)
        on = sorted(pods.node_name(pod) for pod in view.owned("pods", obj) if pods.is_active(pod))
        if len(on) != len(set(on)) or len(on) != nodes:
            yield f"{what}: runs on {on}"


def claims(view: View) -> Iterator[str]:
    """Every claim has a volume of its own, on the node of the pod that uses it; there is no other volume."""
    held: dict[str, str] = {}
    for claim in view.all("persistentvolumeclaims"):
        what, name = f"claim {name_of(claim)}", volumes.volume_name(claim)
        if volumes.phase(claim) != "Bound":
            if view.using(claim):
                yield f"{what}: is {volumes.phase(claim)}, and a pod uses it"
            continue
        if name in held:
            yield f"{what}: has the volume of {held[name]}"
        held[name] = what
    there = {meta.name(volume): volume for volume in view.all("persistentvolumes")}
    for name in sorted(held.keys() ^ there.keys()):
        if not name.startswith(STATIC) or name in held:
            yield f"volume {name}: is {'not asked for' if name in there else 'missing'}"
    for volume in there.values():
        if meta.name(volume).startswith(STATIC):
            continue
        if volumes.phase(volume) != "Bound":
            yield f"volume {meta.name(volume)}: is {volumes.phase(volume)}"


def budgets(view: View) -> Iterator[str]:
    """What a disruption budget says of its pods is so."""
    for budget in view.all("poddisruptionbudgets.policy"):
        selector, namespace = budget["spec"]["selector"], meta.namespace(budget)
        mine = [
            pod
            for pod in view.all("pods")
            if meta.namespace(pod) == namespace and matches(selector, meta.labels(pod)) and pods.is_active(pod)
        ]
        healthy = sum(map(pods.is_ready, mine))
        what, wanted = f"budget {name_of(budget)}", {"observedGeneration": meta.generation(budget)}
        yield from expect(what, budget.get("status") or {}, {**wanted, "currentHealthy": healthy})
