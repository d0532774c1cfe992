"""CronJob, batch/v1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from minik.api import columns, meta, selectors, times
from minik.api.batch_v1.job import default_failure_policy
from minik.api.batch_v1.schedules import ScheduleError, parse_schedule
from minik.api.columns import NONE, UNSET, column
from minik.api.core_v1.pod_defaults import default_template
from minik.api.errors import FieldError, Path, invalid, not_supported, required
from minik.api.kind import Column, Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import METADATA, Errors, enum, non_negative
from minik.api.validation_job import job_template
from minik.api.validation_pod import SPEC

NAME_LIMIT = 52
"""A Job's name is that of its CronJob and eleven characters, and may have 63."""
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}", re.ASCII)


def default(cron_job: Obj) -> None:
    template = ((cron_job.get("spec") or {}).get("jobTemplate") or {}).get("spec")
    if template is not None:
        default_template(template.get("template"))
        default_failure_policy(template)


def prepare_create(cron_job: Obj) -> None:
    cron_job["status"] = {}


def validate(cron_job: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = cron_job.get("spec") or {}
    if len(meta.name(cron_job)) > NAME_LIMIT:
        errors.append(
            invalid(METADATA.child("name"), meta.name(cron_job), f"must be no more than {NAME_LIMIT} characters")
        )
    _schedule(errors, SPEC.child("schedule"), spec.get("schedule") or "")
    if spec.get("timeZone") is not None:
        _time_zone(errors, SPEC.child("timeZone"), spec["timeZone"])
    policy = spec.get("concurrencyPolicy", "Allow")
    enum(errors, SPEC.child("concurrencyPolicy"), policy, ("Allow", "Forbid", "Replace"), optional=False)
    for field in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        non_negative(errors, SPEC.child(field), spec.get(field))
    _job_template(errors, SPEC.child("jobTemplate", "spec"), (spec.get("jobTemplate") or {}).get("spec") or {})
    return errors


def _schedule(errors: Errors, path: Path, schedule: str) -> None:
    if not schedule:
        errors.append(required(path))
        return
    if "TZ" in schedule:
        why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        errors.append(invalid(path, schedule, why))
        return
    try:
        parse_schedule(schedule)
    except ScheduleError as error:
        errors.append(invalid(path, schedule, str(error)))


def _time_zone(errors: Errors, path: Path, zone: str) -> None:
    if not zone:
        errors.append(invalid(path, zone, "timeZone must be nil or non-empty string"))
        return
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            errors.append(invalid(path, zone, f"unknown time zone {zone}"))
            return
    if zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        errors.append(invalid(path, zone, why))
        return
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        errors.append(invalid(path, zone, f"unknown time zone {zone}"))


def _job_template(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    job_template(errors, path, spec)
    if spec.get("selector") is not None:
        errors.append(invalid(path.child("selector"), spec["selector"], "`selector` will be auto-generated"))
    if spec.get("manualSelector"):
        errors.append(not_supported(path.child("manualSelector"), True, ("nil", "false")))


# --- columns --------------------------------------------------------------------------------------------------------


def _last(cron_job: ROObj, now: datetime) -> str:
    last = (cron_job.get("status") or {}).get("lastScheduleTime")
    return times.since(last, now) if last else NONE


def _suspended(cron_job: ROObj) -> str:
    value = (cron_job.get("spec") or {}).get("suspend")
    return UNSET if value is None else str(bool(value))


def _pod_template(cron_job: ROObj) -> Mapping[str, Any]:
    job = ((cron_job.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {}
    return job.get("template") or {}


def _selector(cron_job: ROObj) -> str:
    job = ((cron_job.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {}
    return selectors.format_label_selector(job.get("selector"))


KIND = Kind(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    singular="cronjob",
    namespaced=True,
    schema="io.k8s.api.batch.v1.CronJob",
    short_names=("cj",),
    categories=("all",),
    subresources=(status_of("CronJob"),),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    columns=(
        column("Schedule", lambda cj: str((cj.get("spec") or {}).get("schedule") or "")),
        column("Timezone", lambda cj: str((cj.get("spec") or {}).get("timeZone") or NONE)),
        column("Suspend", _suspended, type="boolean"),
        column("Active", lambda cj: len((cj.get("status") or {}).get("active") or ()), type="integer"),
        Column(name="Last Schedule", value=_last),
        columns.AGE,
        *columns.containers_columns(_pod_template),
        column("Selector", _selector, wide=True),
    ),
)
