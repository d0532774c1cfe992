"""A Job's new pods. Pure.

Pods of an Indexed Job get names that follow from what is known: the Job, the index, and the pods that the index has or had. A
controller that died while a creation was on its way, and its successor that does not see the pod yet, therefore ask for the same name,
and the second one is refused. (kube-controller-manager takes random names, and deletes doubles afterwards.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import meta
from minik.api.batch_v1 import jobs
from minik.api.meta import Obj, ROObj
from minik.controllers.common.job_pods import failures_of_index, ignored_failures_of_index, index_of, judge_failure
from minik.controllers.common.replicas import pod_from_template
from minik.controllers.common.settled_names import settled_suffix

ENV = "JOB_COMPLETION_INDEX"
_PREFIX_LIMIT = 58


def uids_by_index(known: Sequence[ROObj]) -> dict[int, list[str]]:
    """index → the uids of its pods, in order."""
    found: dict[int, list[str]] = {}
    for pod in known:
        index = index_of(pod)
        if index is not None:
            found.setdefault(index, []).append(meta.uid(pod))
    return {index: sorted(uids) for index, uids in found.items()}


def job_pod(job: ROObj, *, index: int | None, before: Sequence[str], replaces: ROObj | None) -> Obj:
    """A new pod. `before`: uids of the pods that the index has, or had as far as is known; `replaces`: the failed pod that kept the
    index's count of failures."""
    pod = pod_from_template(job)
    metadata = pod["metadata"]
    metadata["finalizers"] = [*(f for f in metadata.get("finalizers") or () if f != jobs.TRACKING), jobs.TRACKING]
    if index is None:
        return pod
    text = str(index)
    metadata["annotations"] = {**(metadata.get("annotations") or {}), jobs.COMPLETION_INDEX: text}
    metadata["labels"] = {**(metadata.get("labels") or {}), jobs.COMPLETION_INDEX: text}
    metadata["generateName"] = _prefix(meta.name(job), index)
    metadata["name"] = metadata["generateName"] + settled_suffix(meta.uid(job), text, *before)
    if job["spec"].get("backoffLimitPerIndex") is not None:
        metadata["annotations"] |= _failure_counts(job, replaces)
    pod["spec"] = {**_with_index_variable(pod["spec"]), "hostname": f"{meta.name(job)}-{index}"}
    return pod


def _prefix(name: str, index: int) -> str:
    tail = f"-{index}-"
    return name[: _PREFIX_LIMIT - len(tail)] + tail


def _failure_counts(job: ROObj, replaces: ROObj | None) -> dict[str, str]:
    failed = ignored = 0
    if replaces is not None:
        failed, ignored = failures_of_index(replaces), ignored_failures_of_index(replaces)
        if judge_failure(job, replaces).counts:
            failed += 1
        else:
            ignored += 1
    counts = {jobs.INDEX_FAILURES: str(failed)}
    return counts | {jobs.INDEX_IGNORED_FAILURES: str(ignored)} if ignored else counts


def _with_index_variable(spec: Mapping[str, Any]) -> Obj:
    """Every container learns its index from the environment, unless it sets the variable itself."""
    variable = {
        "name": ENV,
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{jobs.COMPLETION_INDEX}']"}},
    }
    result = dict(spec)
    for field in ("initContainers", "containers"):
        if spec.get(field):
            result[field] = [
                container
                if any(v.get("name") == ENV for v in container.get("env") or ())
                else {**container, "env": [*(container.get("env") or ()), variable]}
                for container in spec[field]
            ]
    return result
