"""What both kinds of webhook configuration share: their validation, and the words that `matchConditions` may use.

Source: kubernetes `pkg/apis/admissionregistration/validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from minik.api import cel
from minik.api.errors import FieldError, Path, duplicate, field_forbidden, invalid, not_supported, required
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, enum, label_selector
from minik.api.validation_names import dns_1035_label, dns_subdomain, qualified_name

GROUP = "admissionregistration.k8s.io"
CONDITIONS = cel.Environment({"object": "dyn", "oldObject": "dyn", "request": "dyn"})
"""What a match condition may name. (`authorizer` is not served.)"""
REVIEW_VERSIONS = ("v1", "v1beta1")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
MAX_CONDITIONS = 64
_MAX_STEP = 255


def validate_webhooks(configuration: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    names: set[str] = set()
    for number, hook in enumerate(configuration.get("webhooks") or ()):
        path = Path("webhooks").index(number)
        _webhook(errors, path, hook)
        name = hook.get("name") or ""
        if name and name in names:
            errors.append(duplicate(path.child("name"), name))
        names.add(name)
    return errors


def _webhook(errors: Errors, path: Path, hook: Mapping[str, Any]) -> None:
    _qualified(errors, path.child("name"), hook.get("name") or "")
    for number, rule in enumerate(hook.get("rules") or ()):
        validate_rule(errors, path.child("rules").index(number), rule)
    enum(errors, path.child("failurePolicy"), hook.get("failurePolicy"), ("Fail", "Ignore"))
    enum(errors, path.child("matchPolicy"), hook.get("matchPolicy"), ("Equivalent", "Exact"))
    enum(errors, path.child("reinvocationPolicy"), hook.get("reinvocationPolicy"), ("IfNeeded", "Never"))
    effects = hook.get("sideEffects")
    if effects is None:
        errors.append(required(path.child("sideEffects"), f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    else:
        enum(errors, path.child("sideEffects"), effects, _SIDE_EFFECTS)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        errors.append(
            invalid(path.child("timeoutSeconds"), seconds, "the timeout value must be between 1 and 30 seconds")
        )
    for field in ("namespaceSelector", "objectSelector"):
        label_selector(errors, path.child(field), hook.get(field))
    validate_client(errors, path.child("clientConfig"), hook.get("clientConfig") or {})
    at, conditions = path.child("matchConditions"), hook.get("matchConditions") or ()
    if len(conditions) > MAX_CONDITIONS:
        errors.append(field_forbidden(at, f"must have at most {MAX_CONDITIONS} items"))
    else:
        validate_conditions(errors, at, conditions, lambda expression: cel.what_is_wrong(expression, CONDITIONS))
    validate_versions(errors, path.child("admissionReviewVersions"), hook.get("admissionReviewVersions") or [])


def _qualified(errors: Errors, path: Path, name: str) -> None:
    if not name:
        errors.append(required(path))
        return
    check_name(errors, path, name, dns_subdomain)
    if name.count(".") < 2:
        errors.append(invalid(path, name, "should be a domain with at least three segments separated by dots"))


def validate_rule(errors: Errors, path: Path, rule: Mapping[str, Any]) -> None:
    operations = rule.get("operations") or []
    if not operations:
        errors.append(required(path.child("operations")))
    if len(operations) > 1 and "*" in operations:
        why = "if '*' is present, must not specify other operations"
        errors.append(invalid(path.child("operations"), operations, why))
    for number, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            errors.append(not_supported(path.child("operations").index(number), operation, _OPERATIONS))
    for field, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or []
        if not values:
            errors.append(required(path.child(field)))
        if len(values) > 1 and "*" in values:
            why = f"if '*' is present, must not specify other {what}"
            errors.append(invalid(path.child(field), values, why))
    for number, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            errors.append(required(path.child("apiVersions").index(number)))
    _resources(errors, path.child("resources"), rule.get("resources") or [])
    scope = rule.get("scope")
    if scope is not None and scope not in _SCOPES:
        errors.append(not_supported(path.child("scope"), scope, _SCOPES))


def _resources(errors: Errors, path: Path, resources: Sequence[str]) -> None:
    if not resources:
        errors.append(required(path))
    whole: set[str] = set()
    everywhere: set[str] = set()
    for number, text in enumerate(resources):
        if not text:
            errors.append(required(path.index(number)))
            continue
        resource, slash, subresource = text.partition("/")
        if not slash:
            continue
        if resource in whole:
            errors.append(invalid(path.index(number), text, f"if '{resource}/*' is present, must not specify {text}"))
        if subresource in everywhere:
            errors.append(
                invalid(path.index(number), text, f"if '*/{subresource}' is present, must not specify {text}")
            )
        if subresource == "*":
            whole.add(resource)
        if resource == "*":
            everywhere.add(subresource)
    if len(resources) > 1 and "*/*" in resources:
        errors.append(invalid(path, list(resources), "if '*/*' is present, must not specify other resources"))
    if "*" in resources and any(text and "/" not in text and text != "*" for text in resources):
        why = "if '*' is present, must not specify other resources without subresources"
        errors.append(invalid(path, list(resources), why))


def validate_client(errors: Errors, path: Path, client: Mapping[str, Any]) -> None:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        errors.append(required(path, "exactly one of url or service is required"))
    elif url is not None:
        _url(errors, path.child("url"), url)
    elif service is not None:
        at = path.child("service")
        for field in ("name", "namespace"):
            if not service.get(field):
                errors.append(required(at.child(field), f"service {field} is required"))
        port = service.get("port")
        if port is not None and not 0 < port < 65536:
            why = "port is not valid: must be between 1 and 65535, inclusive"
            errors.append(invalid(at.child("port"), port, why))
        _url_path(errors, at.child("path"), service.get("path"))


def _url(errors: Errors, path: Path, url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        errors.append(required(path, f"url must be a valid URL: {error}; desired format: https://host[/path]"))
        return
    form = "; desired format: https://host[/path]"
    if parts.scheme != "https":
        errors.append(invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{form}"))
    if not parts.hostname:
        errors.append(invalid(path, parts.netloc, f"host must be specified{form}"))
    for value, what in (
        (parts.username, "user information"),
        (parts.fragment, "fragments"),
        (parts.query, "query parameters"),
    ):
        if value:
            errors.append(
                invalid(path, value, f"{what} {'is' if what.endswith('n') else 'are'} not permitted in the URL")
            )


def _url_path(errors: Errors, path: Path, text: str | None) -> None:
    if not text or text == "/":
        return
    if not text.startswith("/"):
        errors.append(invalid(path, text, "must start with a '/'"))
    steps = text[1:].split("/")
    if not steps[-1]:
        steps = steps[:-1]
    for number, step in enumerate(steps):
        if not step:
            errors.append(invalid(path, text, f"segment[{number}] may not be empty"))
        else:
            errors.extend(
                invalid(path, text, f"segment[{number}]: {why}")
                for why in (dns_subdomain(step) if len(step) <= _MAX_STEP else ["is too long"])
            )


def validate_conditions(
    errors: Errors, path: Path, conditions: Sequence[Mapping[str, Any]], what_is_wrong: Callable[[str], str]
) -> None:
    """matchConditions, of policies too. `what_is_wrong`: with an expression."""
    names: set[str] = set()
    for number, condition in enumerate(conditions):
        at, expression = path.index(number), (condition.get("expression") or "").strip()
        if not expression:
            errors.append(required(at.child("expression")))
        elif why := what_is_wrong(expression):
            errors.append(invalid(at.child("expression"), expression, why))
        name = condition.get("name") or ""
        if not name:
            errors.append(required(at.child("name")))
            continue
        check_name(errors, at.child("name"), name, qualified_name)
        if name in names:
            errors.append(duplicate(at.child("name"), name))
        names.add(name)


def validate_versions(errors: Errors, path: Path, versions: Sequence[str]) -> None:
    known = ", ".join(REVIEW_VERSIONS)
    if not versions:
        errors.append(required(path, f"must specify one of {known}"))
        return
    seen: set[str] = set()
    for number, version in enumerate(versions):
        if version in seen:
            errors.append(invalid(path.index(number), version, "duplicate version"))
            continue
        seen.add(version)
        check_name(errors, path.index(number), version, dns_1035_label)
    if not seen.intersection(REVIEW_VERSIONS):
        errors.append(invalid(path, list(versions), f"must include at least one of {known}"))
