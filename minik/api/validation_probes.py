"""Validation of probes and lifecycle hooks, and of ports given by number or name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minik.api.errors import Path, field_forbidden, invalid, not_supported, required
from minik.api.validation import Errors, check_name, non_negative
from minik.api.validation_names import port_name, port_number, regex_error

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_HEADER = re.compile("[-A-Za-z0-9]+")
_HEADER_ERROR = regex_error(
    "a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name"
)


def port_number_or_name(errors: Errors, path: Path, port: Any) -> None:
    """An IntOrString that names a port."""
    if isinstance(port, str):
        check_name(errors, path, port, port_name)
    else:
        for problem in port_number(port or 0):
            errors.append(invalid(path, port or 0, problem))


def _handler(errors: Errors, path: Path, handler: Mapping[str, Any], grace: int | None) -> None:
    given = [field for field in _HANDLERS if handler.get(field) is not None]
    if not given:
        errors.append(required(path, "must specify a handler type"))
        return
    for extra in given[1:]:
        errors.append(field_forbidden(path.child(extra), "may not specify more than 1 handler type"))
    kind = given[0]
    value, at = handler[kind], path.child(kind)
    match kind:
        case "exec":
            if not value.get("command"):
                errors.append(required(at.child("command")))
        case "httpGet":
            port_number_or_name(errors, at.child("port"), value.get("port"))
            scheme = value.get("scheme", "HTTP")
            if scheme not in ("HTTP", "HTTPS"):
                errors.append(not_supported(at.child("scheme"), scheme, ("HTTP", "HTTPS")))
            for header in value.get("httpHeaders") or ():
                if not _HEADER.fullmatch(header.get("name") or ""):
                    errors.append(invalid(at.child("httpHeaders"), header.get("name") or "", _HEADER_ERROR))
        case "tcpSocket" | "grpc":
            port_number_or_name(errors, at.child("port"), value.get("port"))
        case "sleep":
            seconds = value.get("seconds") or 0
            if grace is not None and not 0 <= seconds <= grace:
                why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                errors.append(invalid(at, seconds, why))


def _probe(errors: Errors, path: Path, probe: Mapping[str, Any], grace: int | None) -> None:
    _handler(errors, path, probe, grace)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        non_negative(errors, path.child(field), probe.get(field))
    own = probe.get("terminationGracePeriodSeconds")
    if own is not None and own <= 0:
        errors.append(invalid(path.child("terminationGracePeriodSeconds"), own, "must be greater than 0"))


def probes_and_hooks(errors: Errors, path: Path, container: Mapping[str, Any], grace: int | None) -> None:
    """`lifecycle` and the three probes of a container (path). `grace`: the pod's terminationGracePeriodSeconds."""
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for hook in ("postStart", "preStop"):
            if lifecycle.get(hook) is not None:
                _handler(errors, path.child("lifecycle", hook), lifecycle[hook], grace)
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(field)
        if probe is None:
            continue
        at = path.child(field)
        _probe(errors, at, probe, grace)
        if field == "readinessProbe":
            own = probe.get("terminationGracePeriodSeconds")
            if own is not None:
                why = "must not be set for readinessProbes"
                errors.append(invalid(at.child("terminationGracePeriodSeconds"), own, why))
        elif probe.get("successThreshold", 1) != 1:
            errors.append(invalid(at.child("successThreshold"), probe["successThreshold"], "must be 1"))
