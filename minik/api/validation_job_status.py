"""Validation of a Job's status, whoever writes it: no count goes down, no end is taken back (kubernetes `validateJobStatus`, KEP-4368)."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.batch_v1 import jobs
from minik.api.batch_v1.indexes import check_indexes, parse_indexes
from minik.api.errors import FieldError, Path, duplicate, invalid, required
from minik.api.meta import ROObj
from minik.api.validation import Errors, non_negative

_STATUS = Path("status")
_CONDITIONS = _STATUS.child("conditions")


def _wrong(path: Path, why: str) -> FieldError:
    """An Invalid without the value (field.OmitValueType)."""
    return FieldError("FieldValueInvalid", path, f"Invalid value: {why}")


def job_status(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    """(new, old) for an update of the status subresource."""
    errors: Errors = []
    status, before = new.get("status") or {}, old.get("status") or {}
    for field in ("active", "succeeded", "failed", "ready", "terminating"):
        non_negative(errors, _STATUS.child(field), status.get(field))
    _uncounted(errors, new)
    _conditions(errors, new)
    _finished(errors, new)
    _indexes(errors, new)
    if (status.get("ready") or 0) > (status.get("active") or 0):
        errors.append(invalid(_STATUS.child("ready"), status["ready"], "cannot set more ready pods than active"))
    for type_ in (jobs.FAILED, jobs.COMPLETE, jobs.FAILURE_TARGET):
        if jobs.is_true(old, type_) and not jobs.is_true(new, type_):
            errors.append(_wrong(_CONDITIONS, f"cannot disable the terminal {type_}=True condition"))
    if jobs.is_true(old, jobs.SUCCESS_CRITERIA_MET) and not jobs.is_true(new, jobs.SUCCESS_CRITERIA_MET):
        errors.append(_wrong(_CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition"))
    for field in ("failed", *(() if _elastic(new) else ("succeeded",))):
        if (status.get(field) or 0) < (before.get(field) or 0):
            errors.append(invalid(_STATUS.child(field), status.get(field) or 0, f"cannot decrease the {field} counter"))
    done = before.get("completionTime")
    if done and status.get("completionTime") and status["completionTime"] != done:
        errors.append(
            invalid(_STATUS.child("completionTime"), status["completionTime"], "completionTime cannot be mutated")
        )
    moved = before.get("startTime") and before["startTime"] != status.get("startTime")
    if moved and not jobs.is_suspended(new) and not jobs.is_true(old, jobs.SUSPENDED):
        errors.append(required(_STATUS.child("startTime"), "startTime cannot be removed for unsuspended job"))
    return errors


def _elastic(job: ROObj) -> bool:
    """An Indexed Job counts its completed indexes, and fewer of them when it was made smaller."""
    return bool((job.get("spec") or {}).get("completionMode") == "Indexed")


def _uncounted(errors: Errors, job: ROObj) -> None:
    uncounted = (job.get("status") or {}).get("uncountedTerminatedPods") or {}
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for number, uid in enumerate(uncounted.get(field) or ()):
            at = _STATUS.child("uncountedTerminatedPods", field).index(number)
            if not uid:
                errors.append(invalid(at, uid, "must not be empty"))
            elif uid in seen:
                errors.append(duplicate(at, uid))
            seen.add(uid)


def _conditions(errors: Errors, job: ROObj) -> None:
    complete, failed = jobs.is_true(job, jobs.COMPLETE), jobs.is_true(job, jobs.FAILED)
    target, met = jobs.is_true(job, jobs.FAILURE_TARGET), jobs.is_true(job, jobs.SUCCESS_CRITERIA_MET)
    for wrong, why in (
        (complete and failed, "cannot set Complete=True and Failed=true conditions"),
        (complete and target, "cannot set Complete=True and FailureTarget=true conditions"),
        (failed and not target, "cannot set Failed=True condition without the FailureTarget=true condition"),
        (complete and not met, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"),
        (met and failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        (met and target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
    ):
        if wrong:
            errors.append(_wrong(_CONDITIONS, why))


def _finished(errors: Errors, job: ROObj) -> None:
    status = job.get("status") or {}
    started, completed = status.get("startTime"), status.get("completionTime")
    complete = jobs.is_true(job, jobs.COMPLETE)
    at = _STATUS.child("completionTime")
    if completed and not complete:
        why = "cannot set completionTime when there is no Complete=True condition"
        errors.append(invalid(at, completed, why))
    if complete and not completed:
        errors.append(required(at, "completionTime is required for Complete jobs"))
    if started and completed and completed < started:  # both are in the wire's one form
        errors.append(invalid(at, completed, "completionTime cannot be set before startTime"))
    if jobs.finished(job) is None:
        return
    for field in ("active", "terminating"):
        if status.get(field):
            errors.append(invalid(_STATUS.child(field), status[field], f"{field}>0 is invalid for finished job"))
    if not started and not jobs.is_suspended(job):
        errors.append(required(_STATUS.child("startTime"), "startTime is required for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    if uncounted.get("succeeded") or uncounted.get("failed"):
        why = "uncountedTerminatedPods needs to be empty for finished job"
        errors.append(invalid(_STATUS.child("uncountedTerminatedPods"), uncounted, why))


def _indexes(errors: Errors, job: ROObj) -> None:
    spec, status = job.get("spec") or {}, job.get("status") or {}
    completed, failed, completions = (
        status.get("completedIndexes") or "",
        status.get("failedIndexes"),
        spec.get("completions"),
    )
    if completed and spec.get("completionMode") != "Indexed":
        why = "cannot set non-empty completedIndexes when non-indexed completion mode"
        errors.append(invalid(_STATUS.child("completedIndexes"), completed, why))
    if failed is not None and spec.get("backoffLimitPerIndex") is None:
        why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        errors.append(invalid(_STATUS.child("failedIndexes"), failed, why))
    if completions is None:
        return
    for field, text in (("completedIndexes", completed), ("failedIndexes", failed or "")):
        try:
            check_indexes(text, completions)
        except ValueError as error:
            errors.append(invalid(_STATUS.child(field), text, f"error parsing {field}: {error}"))
    both = [n for n in parse_indexes(failed or "", completions) if n in parse_indexes(completed, completions)]
    if both:
        why = f"failedIndexes and completedIndexes overlap at index: {both[0]}"
        errors.append(invalid(_STATUS.child("failedIndexes"), failed, why))
