"""Job, batch/v1. Its selector and its pods' labels are made from its uid and name, unless `manualSelector` says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from minik.api import columns, meta, selectors, times
from minik.api.batch_v1 import jobs
from minik.api.columns import column
from minik.api.core_v1.pod_defaults import default_template
from minik.api.errors import FieldError, Path, invalid, required
from minik.api.kind import Column, Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import METADATA, Errors, dns_label, immutable_field
from minik.api.validation_job import job_spec
from minik.api.validation_job_status import job_status
from minik.api.validation_pod import SPEC

NO_LIMIT = 2**31 - 1
_TEMPLATE = SPEC.child("template")


# --- defaults -------------------------------------------------------------------------------------------------------


def default(job: Obj) -> None:
    spec = job.get("spec")
    if spec is None:
        return
    default_template(spec.get("template"))
    default_failure_policy(spec)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _set(spec, "parallelism", 1)
    _set(spec, "backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else NO_LIMIT)
    _set(spec, "completionMode", "NonIndexed")
    _set(spec, "suspend", False)
    _set(spec, "manualSelector", False)
    _set(spec, "podReplacementPolicy", "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed")
    _default_labels(job)


def default_failure_policy(spec: Obj) -> None:
    """A condition named without a status means that it is True."""
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"


def _set(spec: Obj, field: str, value: Any) -> None:
    if spec.get(field) is None:
        spec[field] = value


def _default_labels(job: Obj) -> None:
    """A Job without labels has those of its pods."""
    labels = ((job["spec"].get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)


def prepare_create(job: Obj) -> None:
    job["status"] = {}


def _generated(job: ROObj) -> dict[str, str]:
    """The labels that Kubernetes gives a Job's pods."""
    uid, name = meta.uid(job), meta.name(job)
    return {
        jobs.LEGACY_UID_LABEL: uid,
        jobs.UID_LABEL: uid,
        jobs.LEGACY_NAME_LABEL: name,
        jobs.NAME_LABEL: name,
    }


def identify(job: Obj) -> None:
    """generateSelector: labels in the template and a selector for them. What a user gave instead is left for validation to refuse."""
    spec = job.get("spec") or {}
    if spec.get("manualSelector") or spec.get("template") is None:
        return
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    for key, value in _generated(job).items():
        if job["metadata"].get("generateName") and key in (jobs.NAME_LABEL, jobs.LEGACY_NAME_LABEL):
            labels[key] = value  # nobody could know it; an earlier one was taken
        labels.setdefault(key, value)
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault(jobs.UID_LABEL, meta.uid(job))
    _default_labels(job)


# --- validation -----------------------------------------------------------------------------------------------------


def validate(job: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = job.get("spec") or {}
    _own_labels(errors, job, spec)
    job_spec(errors, SPEC, spec)
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        last = f"{meta.name(job)}-{completions - 1}"
        if dns_label(last):
            why = f"will not able to create pod with invalid DNS label: {last}"
            errors.append(invalid(METADATA.child("name"), meta.name(job), why))
    return errors


def _own_labels(errors: Errors, job: ROObj, spec: Mapping[str, Any]) -> None:
    """validateGeneratedSelector."""
    if spec.get("manualSelector") or spec.get("selector") is None:
        return
    given = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    expected = _generated(job)
    at = _TEMPLATE.child("metadata", "labels")
    for key, value in expected.items():
        if key not in given:
            errors.append(required(at.key(key), f"must be '{value}'"))
        elif given[key] != value:
            errors.append(invalid(at.key(key), given, f"must be '{value}'"))
    try:
        generated = selectors.from_label_selector(spec["selector"]).matches(expected)
    except selectors.SelectorError:
        return
    if not generated:
        errors.append(invalid(SPEC.child("selector"), spec["selector"], "`selector` not auto-generated"))


_FIXED = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_SCHEDULING = ("nodeSelector", "tolerations", "schedulingGates")


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = (obj.get("spec") or {} for obj in (new, old))
    _completions(errors, SPEC.child("completions"), after, before)
    immutable_field(errors, SPEC.child("selector"), after.get("selector"), before.get("selector"))
    movable = bool(before.get("suspend")) and not (old.get("status") or {}).get("startTime")
    _template(errors, after.get("template") or {}, before.get("template") or {}, movable=movable)
    for field in _FIXED:
        immutable_field(errors, SPEC.child(field), after.get(field), before.get(field))
    return errors


def _completions(errors: Errors, path: Path, after: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Fixed, but an Indexed Job may change it together with its parallelism (KEP-3715)."""
    new = after.get("completions")
    if after.get("completionMode") != "Indexed":
        immutable_field(errors, path, new, before.get("completions"))
    elif new is not None and new != before.get("completions") and new != after.get("parallelism"):
        errors.append(invalid(path, new, "can only be modified in tandem with spec.parallelism"))


def _template(errors: Errors, after: Mapping[str, Any], before: Mapping[str, Any], *, movable: bool) -> None:
    """Fixed; of a suspended Job that never started, where its pods may run can change (KEP-2926)."""
    if movable:
        after, before = _without_scheduling(after), _without_scheduling(before)
    if after != before:
        immutable_field(errors, _TEMPLATE, after, before)


def _without_scheduling(template: Mapping[str, Any]) -> Obj:
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if k not in ("labels", "annotations")}
    spec = {k: v for k, v in (template.get("spec") or {}).items() if k not in _SCHEDULING}
    affinity = {k: v for k, v in (spec.pop("affinity", None) or {}).items() if k != "nodeAffinity"}
    return {**template, "metadata": metadata, "spec": {**spec, "affinity": affinity} if affinity else spec}


def validate_status(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    return job_status(new, old)


# --- columns --------------------------------------------------------------------------------------------------------


def _status(job: ROObj) -> str:
    if jobs.finished(job) is not None:
        return jobs.COMPLETE if jobs.is_true(job, jobs.COMPLETE) else jobs.FAILED
    if meta.is_deleting(job):
        return "Terminating"
    shown = (jobs.SUSPENDED, jobs.FAILURE_TARGET, jobs.SUCCESS_CRITERIA_MET)
    return next((type_ for type_ in shown if jobs.is_true(job, type_)), "Running")


def _progress(job: ROObj) -> str:
    spec, done = job.get("spec") or {}, (job.get("status") or {}).get("succeeded") or 0
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(job: ROObj, now: datetime) -> str:
    status = job.get("status") or {}
    if not status.get("startTime"):
        return ""
    end = times.parse_time(status["completionTime"]) if status.get("completionTime") else now
    return times.human_duration(end - times.parse_time(status["startTime"]))


KIND = Kind(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    singular="job",
    namespaced=True,
    schema="io.k8s.api.batch.v1.Job",
    categories=("all",),
    subresources=(status_of("Job"),),
    default=default,
    prepare_create=prepare_create,
    identify=identify,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    columns=(
        column("Status", _status),
        column("Completions", _progress),
        Column(name="Duration", value=_duration),
        columns.AGE,
        *columns.containers_columns(columns.spec_template),
        column("Selector", lambda j: selectors.format_label_selector((j.get("spec") or {}).get("selector")), wide=True),
    ),
    fields={"status.successful": lambda job: str((job.get("status") or {}).get("succeeded") or 0)},
    orphans_by_default=True,
)
