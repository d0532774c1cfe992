"""Reading Jobs and their pods' labels: constants and small questions that the Job, CronJob and TTL controllers ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api import meta
from minik.api.meta import ROObj

PREFIX = "batch.kubernetes.io/"
UID_LABEL = f"{PREFIX}controller-uid"
NAME_LABEL = f"{PREFIX}job-name"
LEGACY_UID_LABEL = "controller-uid"
LEGACY_NAME_LABEL = "job-name"
TRACKING = f"{PREFIX}job-tracking"
"""The finalizer that keeps a finished pod until it is counted."""
COMPLETION_INDEX = f"{PREFIX}job-completion-index"
INDEX_FAILURES = f"{PREFIX}job-index-failure-count"
INDEX_IGNORED_FAILURES = f"{PREFIX}job-index-ignored-failure-count"
CONTROLLER_NAME = "kubernetes.io/job-controller"
COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
FAILURE_TARGET, SUCCESS_CRITERIA_MET = "FailureTarget", "SuccessCriteriaMet"


def is_true(job: ROObj, type_: str) -> bool:
    """Whether the Job has this condition, with status True."""
    condition = meta.condition(job, type_)
    return condition is not None and condition.get("status") == "True"


def finished(job: ROObj) -> Mapping[str, Any] | None:
    """The condition Complete or Failed, whichever is true; None while the Job runs."""
    for type_ in (COMPLETE, FAILED):
        condition = meta.condition(job, type_)
        if condition is not None and condition.get("status") == "True":
            return condition
    return None


def is_indexed(job: ROObj) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def is_suspended(job: ROObj) -> bool:
    return bool((job.get("spec") or {}).get("suspend"))


def is_ours(job: ROObj) -> bool:
    """Whether the built-in controller manages it (spec.managedBy, KEP-4368)."""
    return (job["spec"].get("managedBy") or CONTROLLER_NAME) == CONTROLLER_NAME


def replaces_failed_only(job: ROObj) -> bool:
    """Whether a pod is replaced only once it has failed for good, not when it starts to terminate (KEP-3939)."""
    spec = job["spec"]
    return spec.get("podReplacementPolicy") == "Failed" or spec.get("podFailurePolicy") is not None
