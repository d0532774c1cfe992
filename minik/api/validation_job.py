"""Validation of a JobSpec, in a Job and in a CronJob's template (kubernetes `pkg/apis/batch/validation`).

The Job's status is checked in `validation_job_status.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import selectors
from minik.api.batch_v1.indexes import check_indexes
from minik.api.errors import Path, duplicate, invalid, not_supported, required, show, too_long, too_many
from minik.api.selectors import SelectorError
from minik.api.validation import Errors, check_name, dns_subdomain, label_selector, non_negative, qualified_name
from minik.api.validation_pod import pod_template

INDEXED, NON_INDEXED = "Indexed", "NonIndexed"
_SIZE_LIMIT = 100_000
"""Of parallelism and maxFailedIndexes of an Indexed Job; beyond as many completions both may be at most a tenth."""
_HIGH = 10_000
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_REPLACEMENT = ("Failed", "TerminatingOrFailed")
_MAX_RULES, _MAX_EXIT_CODES, _MAX_PATTERNS = 20, 255, 20
_MANAGED_BY_LIMIT = 63
_INDEXES_LIMIT = 64 * 1024
_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", re.ASCII)


def job_spec(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    """A whole Job's spec: with its selector."""
    job_template(errors, path, spec)
    at, selector = path.child("selector"), spec.get("selector")
    if selector is None:
        errors.append(required(at))
        return
    label_selector(errors, at, selector)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    try:
        matches = selectors.from_label_selector(selector).matches(labels or {})
    except SelectorError:
        return
    if not matches:
        why = "`selector` does not match template `labels`"
        errors.append(invalid(path.child("template", "metadata", "labels"), labels, why))


def job_template(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    """What holds in a Job and in a CronJob's `jobTemplate.spec` alike (validateJobSpec)."""
    for field in (
        "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
        "backoffLimitPerIndex", "maxFailedIndexes",
    ):  # fmt: skip
        non_negative(errors, path.child(field), spec.get(field))
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        errors.append(required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
    if spec.get("managedBy") is not None:
        _managed_by(errors, path.child("managedBy"), spec["managedBy"])
    mode = spec.get("completionMode")
    if mode not in (None, INDEXED, NON_INDEXED):
        errors.append(not_supported(path.child("completionMode"), mode, (INDEXED, NON_INDEXED)))
    if mode == INDEXED:
        _indexed(errors, path, spec)
    elif mode in (None, NON_INDEXED):
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(field) is not None:
                errors.append(invalid(path.child(field), spec[field], "requires indexed completion mode"))
    if spec.get("podFailurePolicy") is not None:
        _pod_failure_policy(errors, path.child("podFailurePolicy", "rules"), spec)
    if spec.get("successPolicy") is not None:
        _success_policy(errors, path.child("successPolicy"), spec)
    policy = spec.get("podReplacementPolicy")
    allowed = _REPLACEMENT if spec.get("podFailurePolicy") is None else ("Failed",)
    if policy is not None and policy not in allowed:
        errors.append(not_supported(path.child("podReplacementPolicy"), policy, allowed))
    template = spec.get("template") or {}
    pod_template(errors, path.child("template"), template)
    _restart_policy(errors, path.child("template", "spec", "restartPolicy"), template, spec)


def _restart_policy(errors: Errors, path: Path, template: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    policy = (template.get("spec") or {}).get("restartPolicy") or "Always"
    if policy == "Always":
        errors.append(required(path, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        errors.append(not_supported(path, policy, ("OnFailure", "Never")))
    elif policy != "Never" and spec.get("podFailurePolicy") is not None:
        errors.append(invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))


def _managed_by(errors: Errors, path: Path, value: str) -> None:
    prefix, slash, rest = value.partition("/")
    if not value:
        errors.append(required(path))
    elif not slash or not prefix or not rest:
        errors.append(invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
    else:
        check_name(errors, path, prefix, dns_subdomain)
        if not _PATH.fullmatch(rest):
            errors.append(invalid(path, rest, f"Invalid path (regex used for validation is '{_PATH.pattern}')"))
    if len(value) > _MANAGED_BY_LIMIT:
        errors.append(too_long(path, value, _MANAGED_BY_LIMIT))


def _indexed(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    completions, parallelism, most = (spec.get(f) for f in ("completions", "parallelism", "maxFailedIndexes"))
    if completions is None:
        errors.append(required(path.child("completions"), "when completion mode is Indexed"))
    if parallelism is not None and parallelism > _SIZE_LIMIT:
        why = f"must be less than or equal to {_SIZE_LIMIT} when completion mode is Indexed"
        errors.append(invalid(path.child("parallelism"), parallelism, why))
    if completions is not None and most is not None and most > completions:
        errors.append(invalid(path.child("maxFailedIndexes"), most, "must be less than or equal to completions"))
    if most is not None and most > _SIZE_LIMIT:
        errors.append(invalid(path.child("maxFailedIndexes"), most, f"must be less than or equal to {_SIZE_LIMIT}"))
    if completions is None or completions <= _SIZE_LIMIT or spec.get("backoffLimitPerIndex") is None:
        return
    if most is None:
        why = f"must be specified when completions is above {_SIZE_LIMIT}"
        errors.append(required(path.child("maxFailedIndexes"), why))
    for field, value in (("parallelism", parallelism), ("maxFailedIndexes", most)):
        if value is not None and value > _HIGH:
            why = (
                f"must be less than or equal to {_HIGH} when completions are above {_SIZE_LIMIT} and used with backoff"
                " limit per index"
            )
            errors.append(invalid(path.child(field), value, why))


# --- podFailurePolicy (KEP-3329) ------------------------------------------------------------------------------------


def _pod_failure_policy(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    rules: Sequence[Mapping[str, Any]] = spec["podFailurePolicy"].get("rules") or ()
    if len(rules) > _MAX_RULES:
        errors.append(too_many(path, len(rules), _MAX_RULES))
    pod = (spec.get("template") or {}).get("spec") or {}
    names = {c.get("name") for field in ("containers", "initContainers") for c in pod.get(field) or ()}
    for number, rule in enumerate(rules):
        at = path.index(number)
        _action(errors, at.child("action"), rule.get("action") or "", spec)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            _exit_codes(errors, at.child("onExitCodes"), codes, names)
        if conditions:
            _pod_conditions(errors, at.child("onPodConditions"), conditions)
        if codes is not None and conditions:
            errors.append(_rule(at, "specifying both OnExitCodes and OnPodConditions is not supported"))
        if codes is None and not conditions:
            errors.append(_rule(at, "specifying one of OnExitCodes and OnPodConditions is required"))


def _rule(path: Path, why: str) -> Any:
    """An Invalid without the value (field.OmitValueType)."""
    found = invalid(path, "", why)
    return type(found)(found.reason, found.field, f"Invalid value: {why}")


def _quoted(values: Sequence[str]) -> str:
    return "valid values: [" + " ".join(show(v) for v in values) + "]"


def _action(errors: Errors, path: Path, action: str, spec: Mapping[str, Any]) -> None:
    if not action:
        errors.append(required(path, _quoted(_ACTIONS)))
    elif action == "FailIndex":
        if spec.get("backoffLimitPerIndex") is None:
            errors.append(invalid(path, action, "requires the backoffLimitPerIndex to be set"))
    elif action not in _ACTIONS:
        errors.append(not_supported(path, action, _ACTIONS))


def _exit_codes(errors: Errors, path: Path, codes: Mapping[str, Any], names: set[Any]) -> None:
    operator = codes.get("operator") or ""
    if not operator:
        errors.append(required(path.child("operator"), _quoted(_OPERATORS)))
    elif operator not in _OPERATORS:
        errors.append(not_supported(path.child("operator"), operator, _OPERATORS))
    container = codes.get("containerName")
    if container is not None and container not in names:
        why = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid(path.child("containerName"), container, why))
    at, values = path.child("values"), codes.get("values") or []
    if not values:
        errors.append(invalid(at, values, "at least one value is required"))
    elif len(values) > _MAX_EXIT_CODES:
        errors.append(too_many(at, len(values), _MAX_EXIT_CODES))
    seen: set[int] = set()
    for number, value in enumerate(values):
        if operator == "In" and value == 0:
            errors.append(invalid(at.index(number), value, "must not be 0 for the In operator"))
        if value in seen:
            errors.append(duplicate(at.index(number), value))
        seen.add(value)
    if list(values) != sorted(values):
        errors.append(invalid(at, values, "must be ordered"))


def _pod_conditions(errors: Errors, path: Path, patterns: Sequence[Mapping[str, Any]]) -> None:
    if len(patterns) > _MAX_PATTERNS:
        errors.append(too_many(path, len(patterns), _MAX_PATTERNS))
    for number, pattern in enumerate(patterns):
        at = path.index(number)
        check_name(errors, at.child("type"), pattern.get("type") or "", qualified_name)
        status = pattern.get("status") or ""
        if not status:
            errors.append(required(at.child("status"), _quoted(_STATUSES)))
        elif status not in _STATUSES:
            errors.append(not_supported(at.child("status"), status, _STATUSES))


# --- successPolicy (KEP-3998) ---------------------------------------------------------------------------------------


def _success_policy(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    if spec.get("completionMode") != INDEXED:
        errors.append(invalid(path, spec["successPolicy"], "requires indexed completion mode"))
        return
    at = path.child("rules")
    rules: Sequence[Mapping[str, Any]] = spec["successPolicy"].get("rules") or ()
    if not rules:
        errors.append(required(at, "at least one rules must be specified when the successPolicy is specified"))
    if len(rules) > _MAX_RULES:
        errors.append(too_many(at, len(rules), _MAX_RULES))
    for number, rule in enumerate(rules):
        _success_rule(errors, at.index(number), rule, spec.get("completions") or 0)


def _success_rule(errors: Errors, path: Path, rule: Mapping[str, Any], completions: int) -> None:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        errors.append(required(path, "at least one of succeededCount or succeededIndexes must be specified"))
    named = 0
    if indexes is not None:
        at = path.child("succeededIndexes")
        if len(indexes) > _INDEXES_LIMIT:
            errors.append(too_long(at, indexes, _INDEXES_LIMIT))
        try:
            named = check_indexes(indexes, completions)
        except ValueError as error:
            errors.append(invalid(at, indexes, f"error parsing succeededIndexes: {error}"))
    if count is None:
        return
    at = path.child("succeededCount")
    non_negative(errors, at, count)
    if count > completions:
        why = f"must be less than or equal to {completions} (the number of specified completions)"
        errors.append(invalid(at, count, why))
    if indexes is not None and count > named:
        why = f"must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
        errors.append(invalid(at, count, why))
