"""Job (batch/v1): pods that run to their end, counted exactly.

One pass: read what is (`common/job_state.py`), decide (`common/job_plan.py`), create or delete pods, and record the finished ones in two
writes around the removal of their finalizers (`common/job_record.py`). Pods whose Job is gone lose their finalizer here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from minik.api import meta
from minik.api.batch_v1 import jobs
from minik.api.core_v1 import pods
from minik.api.errors import Conflict, NotFound, StatusError
from minik.api.meta import Key, Obj, ROObj
from minik.api.selectors import Selector, from_label_selector
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Result,
    Scope,
    can,
    maps_with,
    requeue_after,
    selected_by,
)
from minik.controllers.common import claims
from minik.controllers.common.batches import at_once, in_batches
from minik.controllers.common.claims import ORPHANS, apply_claims, plan_claims, still_there
from minik.controllers.common.job_backoff import Streak, continued
from minik.controllers.common.job_create import job_pod, uids_by_index
from minik.controllers.common.job_plan import (
    PodsPlan,
    Verdict,
    plan_completion,
    plan_pods,
    plan_suspension,
    plan_verdict,
    seconds_to_deadline,
    started_at,
)
from minik.controllers.common.job_pods import is_failed, is_tracked
from minik.controllers.common.job_record import plan_record, plan_settled, tracked_uids
from minik.controllers.common.job_state import JobState, read_state
from minik.controllers.common.replicas import create_pod, delete_pod
from minik.controllers.common.settled_names import create_settled

JOBS = "jobs.batch"
TRACKED_BY = "tracked-by-job"
"""Index of pods with the tracking finalizer by `namespace/name` of the Job that they name as their controller."""
_ORPHAN = "pod/"
"""Begins the name in the key of a pod that is tracked and has no controller."""


LONGEST_PAUSE = 1.0
_PAUSE_PER_POD = 0.001
"""Seconds between two passes over a Job: a pass looks at all of its pods, and in a large Job some pod changes all the time.
(kube-controller-manager waits a second, whatever the size.)"""
_LEAST_PAUSE = 0.001


@dataclass(slots=True)
class Remembered:
    """Of one Job: its streak of failures (None: to be read off its pods), when it was looked at last (seconds, monotonic), and the uids
    of the pods that each index had. (The next one is given no name of theirs: whoever waits for a pod to be gone looks for its name.)"""

    uid: str
    streak: Streak | None = None
    last_pass: float | None = None
    uids: dict[int, set[str]] = field(default_factory=dict)

    def note(self, pods: Sequence[ROObj]) -> None:
        """Pods of an Indexed Job that are there."""
        for index, uids in uids_by_index(pods).items():
            self.uids.setdefault(index, set()).update(uids)

    def seconds_to_pause(self, pods_of_it: int, now: float) -> float:
        """Before the next pass over a Job of that many pods. 0: none, and this is that pass."""
        pause = min(LONGEST_PAUSE, pods_of_it * _PAUSE_PER_POD)
        left = 0.0 if self.last_pass is None else self.last_pass + pause - now
        if left >= _LEAST_PAUSE:
            return left
        self.last_pass = now
        return 0.0


class Memory:
    """What is remembered of the Jobs that run."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Remembered] = {}

    def of(self, job: ROObj) -> Remembered:
        found = self._jobs.get(meta.key(job))
        if found is None or found.uid != meta.uid(job):
            found = self._jobs[meta.key(job)] = Remembered(meta.uid(job))
        return found

    def forget(self, key: Key) -> None:
        self._jobs.pop(key, None)


def tracked_by(pod: ROObj) -> Iterable[str]:
    """The index function of `TRACKED_BY`."""
    ref = meta.controller_of(pod)
    if ref is None or ref.get("kind") != "Job" or not is_tracked(pod):
        return ()
    return (f"{meta.namespace(pod)}/{ref['name']}",)


def _selector(job: ROObj) -> Selector:
    return from_label_selector(job["spec"]["selector"])


async def reconcile(ctx: Context, key: Key) -> Result:
    if key.name.startswith(_ORPHAN):
        return await _orphan(ctx, Key(key.namespace, key.name.removeprefix(_ORPHAN)))
    job = ctx.cache(JOBS).get(key)
    await _let_go_of_strangers(ctx, key, job)
    memory: Memory = ctx.state
    if job is None or not jobs.is_ours(job):
        memory.forget(key)
        return DONE
    if jobs.finished(job) is not None:
        memory.forget(key)
        await _untrack(ctx, [pod for pod in ctx.cache("pods").owned_by(job) if is_tracked(pod)])
        return DONE
    all_pods = ctx.cache("pods")
    owned = all_pods.owned_by(job)
    left = memory.of(job).seconds_to_pause(len(owned), ctx.clock.monotonic())
    if left > 0:
        return requeue_after(left)
    ownership = plan_claims(job, _selector(job), owned, all_pods.by_index(ORPHANS, key.namespace))
    owned = await apply_claims(ctx, job, "pods", ownership, finalizer=jobs.TRACKING)
    state = read_state(job, owned)
    if state.indexed:
        memory.of(job).note(state.known)
    return await _sync(ctx, job, state)


async def _sync(ctx: Context, job: ROObj, state: JobState) -> Result:
    now = ctx.clock.now()
    streak = _streak(ctx.state.of(job), state)
    verdict, plan, failure = plan_verdict(state, now=now), PodsPlan(), None
    gone: list[ROObj] = []
    created = 0
    if verdict is not None:
        gone, failure = await _delete(ctx, job, state.active)
        if failure is not None:
            verdict = None  # not before every pod has been told to stop
    elif not meta.is_deleting(job):
        plan = plan_pods(state, streak, now=now)
        if plan.delete:
            failure = await _untrack(ctx, [pod for pod in plan.delete if is_tracked(pod)])
            if failure is None:
                gone, failure = await _delete(ctx, job, plan.delete)
        elif plan.create:
            created, failure = await _create(ctx, job, state, plan.create)
    active = len(state.active) - len(gone) + created
    suspension = None
    if verdict is None and failure is None:
        verdict = plan_completion(state, active=active)
        if verdict is None and not meta.is_deleting(job):
            suspension = plan_suspension(job, now=now)
    status = _next_status(ctx, job, state, active, gone, suspension)
    await _record(ctx, job, state, status, verdict, streak)
    if failure is not None:
        raise failure
    waits = [plan.wait, seconds_to_deadline(job, now=now) if verdict is None else None]
    soonest = min((wait for wait in waits if wait is not None), default=None)
    return DONE if soonest is None else requeue_after(soonest)


def _streak(remembered: Remembered, state: JobState) -> Streak:
    known = remembered.streak
    if known is None:  # a new Job, or this process is new: from what is left of its pods
        new = {meta.uid(pod) for pod in (*state.new_succeeded, *state.new_failed)}
        old = [pod for pod in state.known if meta.uid(pod) not in new]
        ended = [pod for pod in old if pods.phase(pod) == "Succeeded"]
        known = continued(Streak(), ended, [pod for pod in old if is_failed(state.job, pod)])
    return continued(known, state.new_succeeded, state.new_failed)


def _next_status(
    ctx: Context, job: ROObj, state: JobState, active: int, gone: Sequence[ROObj], suspension: Obj | None
) -> Obj:
    """The status but for what finished pods do to it. `gone`: pods that this pass has deleted."""
    now = ctx.clock.now()
    status = dict(job.get("status") or {})
    start = started_at(job, now=now)
    if start:
        status["startTime"] = start
    status["active"] = active
    status["ready"] = sum(map(pods.is_ready, state.active)) - sum(map(pods.is_ready, gone))
    status["terminating"] = state.terminating + len(gone)
    if suspension is not None:
        others = [c for c in status.get("conditions") or () if c["type"] != suspension["type"]]
        status["conditions"] = [*others, suspension]
        word = "Suspended" if suspension["status"] == "True" else "Resumed"
        ctx.recorder.event(job, "Normal", word, suspension["message"])
    return status


async def _record(
    ctx: Context, job: ROObj, state: JobState, status: Obj, verdict: Verdict | None, streak: Streak
) -> None:
    """Record, release, count: the three steps that make counting exact, in this order."""
    now = ctx.clock.now()
    plan = plan_record(state, status, verdict, now=now)
    if plan.status != job.get("status"):
        job = await ctx.client.update_status(JOBS, {**job, "status": plan.status})
    ctx.state.of(job).streak = streak
    tracked = tracked_uids(state.pods)
    results = await at_once([lambda pod=pod: _remove_finalizer(ctx, pod) for pod in plan.release])  # type: ignore[misc]  # binds the pod
    tracked -= {meta.uid(pod) for pod, failed in zip(plan.release, results, strict=True) if failed is None}
    last = plan_settled(plan.status, tracked=tracked, verdict=verdict, cut=plan.cut, now=now)
    if last != plan.status:
        job = await ctx.client.update_status(JOBS, {**job, "status": last})
        end = jobs.finished(job)
        if end is not None:
            _say_finished(ctx, job, failed=end["type"] == jobs.FAILED)
    for failure in results:
        if failure is not None:
            raise failure


def _say_finished(ctx: Context, job: ROObj, *, failed: bool) -> None:
    condition = jobs.finished(job) or {}
    if failed:
        ctx.recorder.event(job, "Warning", condition.get("reason", ""), condition.get("message", ""))
        return
    wanted = job["spec"].get("completions")
    if wanted is not None and (job["status"].get("succeeded") or 0) > wanted:
        why = "Too many succeeded pods running after completion count reached"
        ctx.recorder.event(job, "Warning", "TooManySucceededPods", why)
    ctx.recorder.event(job, "Normal", "Completed", "Job completed")


# --- pods ----------------------------------------------------------------------------------------------------------------


async def _create(
    ctx: Context, job: ROObj, state: JobState, indexes: Sequence[int | None]
) -> tuple[int, StatusError | None]:
    memory: Memory = ctx.state
    before = memory.of(job).uids

    async def create(index: int | None) -> None:
        if index is None:
            await create_pod(ctx, job, job_pod(job, index=None, before=(), replaces=None))
            return
        kept = state.last_failed.get(index)
        pod = job_pod(job, index=index, before=sorted(before.get(index, ())), replaces=kept)
        if not await create_settled(ctx, job, pod) and kept is not None:
            await _remove_finalizer(ctx, kept)  # nobody takes its place any more, and the namespace waits for it

    return await in_batches([lambda index=index: create(index) for index in indexes])  # type: ignore[misc]  # binds the index


async def _delete(ctx: Context, job: ROObj, doomed: Sequence[ROObj]) -> tuple[list[ROObj], StatusError | None]:
    """Delete pods; those that were, and the first failure."""
    results = await at_once([lambda pod=pod: delete_pod(ctx, job, pod) for pod in doomed])  # type: ignore[misc]  # binds the pod
    gone = [pod for pod, failed in zip(doomed, results, strict=True) if failed is None]
    return gone, next((failed for failed in results if failed is not None), None)


async def _untrack(ctx: Context, tracked: Sequence[ROObj]) -> StatusError | None:
    results = await at_once([lambda pod=pod: _remove_finalizer(ctx, pod) for pod in tracked])  # type: ignore[misc]  # binds the pod
    return next((failed for failed in results if failed is not None), None)


async def _remove_finalizer(ctx: Context, pod: ROObj) -> None:
    """Take the tracking finalizer from this very pod; one that is gone has none. Raises StatusError."""
    metadata = {"uid": meta.uid(pod), "$deleteFromPrimitiveList/finalizers": [jobs.TRACKING]}
    try:
        await ctx.client.patch("pods", meta.name(pod), meta.namespace(pod), {"metadata": metadata}, type="strategic")
    except NotFound:
        return
    except Conflict as error:
        if "UID in precondition" not in error.message:  # else: another pod has its name
            raise


# --- pods without their Job ----------------------------------------------------------------------------------------------


async def _let_go_of_strangers(ctx: Context, key: Key, job: ROObj | None) -> None:
    """Pods that name a Job that is gone (or whose name belongs to another one now) must not be held by its finalizer."""
    tracked = ctx.cache("pods").by_index(TRACKED_BY, f"{key.namespace}/{key.name}")
    strangers = [pod for pod in tracked if job is None or not meta.is_controlled_by(pod, job)]
    for pod in strangers:
        ref = meta.controller_of(pod)
        if ref is None:
            continue
        named = {"apiVersion": ref["apiVersion"], "kind": "Job", "metadata": {
            "name": ref["name"], "namespace": key.namespace, "uid": ref["uid"]}}  # fmt: skip
        if not await still_there(ctx, named, deleting=True):
            await _remove_finalizer(ctx, pod)


async def _orphan(ctx: Context, key: Key) -> Result:
    """A tracked pod without a controller: its Job was deleted without it, or released it."""
    pod = ctx.cache("pods").get(key)
    if pod is None or not is_tracked(pod) or meta.controller_of(pod) is not None:
        return DONE
    wanted = any(
        _selector(job).matches(meta.labels(pod)) and not meta.is_deleting(job) and jobs.finished(job) is None
        for job in ctx.cache(JOBS).list(key.namespace)
    )
    if not wanted:  # else that Job adopts it
        await _remove_finalizer(ctx, pod)
    return DONE


def _job_of(scope: Scope, pod: ROObj) -> Iterable[Key]:
    ref = meta.controller_of(pod)
    if ref is not None:
        return (Key(meta.namespace(pod), ref["name"]),) if ref.get("kind") == "Job" else ()
    return (Key(meta.namespace(pod), f"{_ORPHAN}{meta.name(pod)}"),) if is_tracked(pod) else ()


CONTROLLER = Controller(
    "job",
    primary=JOBS,
    triggers=[
        maps_with("pods", _job_of),
        selected_by("pods", _selector, orphans_only=True),
    ],
    reconcile=reconcile,
    indexes={"pods": {ORPHANS: claims.orphans, TRACKED_BY: tracked_by}},
    state=lambda _setup: Memory(),
    rbac=[
        can("create,delete,get,list,patch,watch", "pods"),
        can("get,list,watch", JOBS),
        can("update", f"{JOBS}/status"),
    ],
)
