"""A StatefulSet's pods: names, ordinals, identity, and what the pod of an ordinal looks like. Pure (`stateful_set_utils.go`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.controllers.common.history import HASH
from minik.controllers.common.replicas import pod_from_template, seconds_until_available

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)", re.ASCII)


def ordinal_of(stateful_set: ROObj, pod: ROObj) -> int | None:
    """The ordinal of one of the set's pods; None if its name is not of that set."""
    match = _NAME.fullmatch(meta.name(pod))
    if match is None or match[1] != meta.name(stateful_set):
        return None
    return int(match[2])


def first_ordinal(stateful_set: ROObj) -> int:
    return (stateful_set["spec"].get("ordinals") or {}).get("start") or 0


def replicas_of(stateful_set: ROObj) -> int:
    number: int = stateful_set["spec"].get("replicas", 1)
    return number


def in_range(stateful_set: ROObj, ordinal: int) -> bool:
    start = first_ordinal(stateful_set)
    return start <= ordinal < start + replicas_of(stateful_set)


def revision_of(pod: ROObj) -> str:
    """The name of the revision that it was made from."""
    return meta.labels(pod).get(HASH, "")


def is_running_and_ready(pod: ROObj) -> bool:
    return pods.phase(pod) == "Running" and pods.is_ready(pod)


def is_available(stateful_set: ROObj, pod: ROObj, *, now: datetime) -> bool:
    """Running, ready for `minReadySeconds`, and not being deleted."""
    seconds = stateful_set["spec"].get("minReadySeconds") or 0
    return is_ready_long(pod, seconds, now=now) and not meta.is_deleting(pod)


def is_ready_long(pod: ROObj, seconds: int, *, now: datetime) -> bool:
    return is_running_and_ready(pod) and seconds_until_available(pod, seconds, now=now) <= 0


def claim_templates(stateful_set: ROObj) -> list[Mapping[str, Any]]:
    return list(stateful_set["spec"].get("volumeClaimTemplates") or ())


def claim_name(stateful_set: ROObj, template: Mapping[str, Any], ordinal: int) -> str:
    return f"{template['metadata']['name']}-{meta.name(stateful_set)}-{ordinal}"


def identity(stateful_set: ROObj, ordinal: int) -> dict[str, str]:
    """The labels that say which pod it is."""
    return {POD_NAME: f"{meta.name(stateful_set)}-{ordinal}", POD_INDEX: str(ordinal)}


def has_identity(stateful_set: ROObj, pod: ROObj, ordinal: int) -> bool:
    return identity(stateful_set, ordinal).items() <= meta.labels(pod).items()


def stateful_pod(stateful_set: ROObj, template: Mapping[str, Any], revision: str, ordinal: int) -> Obj:
    """The pod of `ordinal`, made from the `template` of the revision of that name."""
    spec = {**stateful_set["spec"], "template": template}
    pod = pod_from_template({**stateful_set, "spec": spec})
    metadata = pod["metadata"]
    del metadata["generateName"]
    metadata["name"] = f"{meta.name(stateful_set)}-{ordinal}"
    metadata["labels"] = {**(metadata.get("labels") or {}), **identity(stateful_set, ordinal), HASH: revision}
    pod["spec"] = {**pod["spec"], "hostname": metadata["name"]}
    if spec.get("serviceName"):
        pod["spec"]["subdomain"] = spec["serviceName"]
    claims = [
        {
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(stateful_set, template, ordinal)},
        }
        for template in claim_templates(stateful_set)
    ]
    if claims:
        own = {claim["name"] for claim in claims}
        others = [volume for volume in pod["spec"].get("volumes") or () if volume["name"] not in own]
        pod["spec"]["volumes"] = [*claims, *others]
    return pod
