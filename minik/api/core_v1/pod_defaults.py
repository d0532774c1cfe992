"""Defaults of pods and pod templates that depend on other fields (kubernetes `pkg/apis/core/v1/defaults.go` and conversion).

Called by the kinds that hold a pod spec, after the tables' unconditional defaults. All of it is idempotent. Quantities are put in
their canonical form here, as Kubernetes' decoding does.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from minik.api import quantity
from minik.api.core_v1 import pods
from minik.api.meta import Obj
from minik.api.quantity import Quantity, QuantityError
from minik.api.validation_resources import HUGE_PAGES, can_overcommit

_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_MILLI = 10**6


@lru_cache(maxsize=4096)
def pull_policy(image: str) -> str:
    """`Always` for the tag `latest`, written or meant; otherwise `IfNotPresent` (a digest pins the image)."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if image and (tag == "latest" or not (tag or digest)) else "IfNotPresent"


def default_pod(pod: Obj) -> None:
    """A Pod."""
    spec = pod.get("spec")
    if spec is None:
        return
    default_pod_spec(spec)
    for field in ("containers", "initContainers"):
        for container in spec.get(field) or ():
            _requests_from_limits(container)
    if spec.get("resources"):
        _pod_level_resources(pod, spec["resources"])
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for field in ("containers", "initContainers"):
            for container in spec.get(field) or ():
                for port in container.get("ports") or ():
                    if not port.get("hostPort") and port.get("containerPort"):
                        port["hostPort"] = port["containerPort"]


def default_template(template: Obj | None) -> None:
    """A pod template."""
    if template is not None and template.get("spec") is not None:
        default_pod_spec(template["spec"])


def default_pod_spec(spec: Obj) -> None:
    """What holds in a pod and in a template alike."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for field in _CONTAINER_LISTS:
        for container in spec.get(field) or ():
            _container(container)
    canonical_resources(spec.get("resources"))
    if spec.get("overhead"):
        canonical_list(spec["overhead"])


def _container(container: Obj) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image") or "")
    if container.get("resources"):
        canonical_resources(container["resources"])
    elif "resources" not in container:
        container["resources"] = {}
    for variable in container.get("env") or ():
        source = variable.get("valueFrom")
        if source and source.get("resourceFieldRef"):
            _divisor(source["resourceFieldRef"])


def _volume(volume: Obj) -> None:
    sources = [field for field, value in volume.items() if field != "name" and value is not None]
    if not sources:
        volume["emptyDir"] = {}
    elif sources[0] == "emptyDir" and volume["emptyDir"].get("sizeLimit") is not None:
        volume["emptyDir"]["sizeLimit"] = _canonical(volume["emptyDir"]["sizeLimit"])
    elif sources[0] == "image" and not volume["image"].get("pullPolicy"):
        volume["image"]["pullPolicy"] = pull_policy(volume["image"].get("reference") or "")
    for item in _downward_items(volume):
        if item.get("resourceFieldRef"):
            _divisor(item["resourceFieldRef"])


def _downward_items(volume: Obj) -> Iterable[Obj]:
    if volume.get("downwardAPI"):
        yield from volume["downwardAPI"].get("items") or ()
    if volume.get("projected"):
        for source in volume["projected"].get("sources") or ():
            if source.get("downwardAPI"):
                yield from source["downwardAPI"].get("items") or ()


def _divisor(reference: Obj) -> None:
    reference["divisor"] = _canonical(reference.get("divisor") or "0")


def _canonical(text: Any) -> Any:
    try:
        return quantity.canonical(text)
    except QuantityError:
        return text  # validation will say so


def canonical_resources(resources: Obj | None) -> None:
    """Limits and requests in canonical form."""
    if resources:
        for which in ("limits", "requests"):
            if resources.get(which):
                canonical_list(resources[which])


def canonical_list(values: dict[str, Any]) -> None:
    """A ResourceList in canonical form, rounded up to thousandths (SetDefaults_ResourceList)."""
    for name, text in values.items():
        try:
            parsed = quantity.parse(text)
        except QuantityError:
            continue
        if parsed.nanos % _MILLI:
            parsed = Quantity(parsed.milli() * _MILLI, parsed.format)
        values[name] = str(parsed)


def _requests_from_limits(container: Obj) -> None:
    resources = container.get("resources")
    if not resources or not resources.get("limits"):
        return
    requests = resources.setdefault("requests", {})
    for name, value in resources["limits"].items():
        requests.setdefault(name, value)


def _pod_level_resources(pod: Obj, resources: Obj) -> None:
    """Requests of the whole pod, from its containers or else from its own limits (KEP-2837)."""
    if not resources.get("limits"):
        return
    requests = dict(resources.get("requests") or {})
    spec = {k: v for k, v in pod["spec"].items() if k not in ("resources", "overhead")}
    for name, number in pods.pod_requests({"metadata": {}, "spec": spec}).items():
        if name in ("cpu", "memory") and can_overcommit(name):
            amount = quantity.from_milli(number) if name == "cpu" else quantity.from_value(number)
            requests.setdefault(name, str(amount))
    for name, value in resources["limits"].items():
        if name in ("cpu", "memory") or name.startswith(HUGE_PAGES):
            requests.setdefault(name, value)
    if requests:
        resources["requests"] = requests
