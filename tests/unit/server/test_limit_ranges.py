"""LimitRanges: defaults, bounds, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.errors import Forbidden, Invalid
from minik.server.admission.limit_ranger import check_claim
from minik.server.local import LocalTransport
from tests.unit.server.objects import PODS, STRATEGIC, pod

LIMITS = "/api/v1/namespaces/default/limitranges"


async def limit(api: LocalTransport, *items: dict[str, Any], name: str = "l") -> Any:
    return await api.request("POST", LIMITS, body={"metadata": {"name": name}, "spec": {"limits": list(items)}})


def asking(**resources: Any) -> Any:
    return pod("a", containers=[{"name": "c", "image": "a", "resources": resources}])


async def test_defaults(api: LocalTransport) -> None:
    item = {"type": "Container", "max": {"cpu": "2"}, "default": {"memory": "200Mi"}, "defaultRequest": {"cpu": "100m"}}
    made = await limit(api, item)
    assert made["spec"]["limits"][0] == item | {
        "default": {"cpu": "2", "memory": "200Mi"}, "defaultRequest": {"cpu": "100m", "memory": "200Mi"},
    }  # fmt: skip
    body = pod("a", initContainers=[{"name": "i", "image": "a", "resources": {"limits": {"cpu": "1"}}}])
    got = await api.request("POST", PODS, body=body)
    assert got["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "2", "memory": "200Mi"}, "requests": {"cpu": "100m", "memory": "200Mi"},
    }  # fmt: skip
    assert got["spec"]["initContainers"][0]["resources"] == {
        "limits": {"cpu": "1", "memory": "200Mi"}, "requests": {"cpu": "1", "memory": "200Mi"},
    }  # fmt: skip
    assert got["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c; "
        "memory request for init container i; memory limit for init container i"
    )
    assert got["status"]["qosClass"] == "Burstable"


@pytest.mark.parametrize(
    ("item", "resources", "why"),
    [
        ({"min": {"cpu": "1"}}, {"requests": {"cpu": "500m"}}, "minimum cpu usage per Container is 1, but request is 500m"),
        ({"max": {"cpu": "1"}}, {"limits": {"cpu": "2"}}, "maximum cpu usage per Container is 1, but limit is 2"),
        (
            {"max": {"cpu": "1"}, "default": {"memory": "1Gi"}}, {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}},
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}}, {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}}, {},
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
    ],
)  # fmt: skip
async def test_bounds_of_containers(api: LocalTransport, item: Any, resources: Any, why: str) -> None:
    await limit(api, {"type": "Container", **item})
    with pytest.raises(Forbidden) as refused:
        await api.request("POST", PODS, body=asking(**resources))
    assert refused.value.message == f'pods "a" is forbidden: {why}'


async def test_bounds_of_whole_pods(api: LocalTransport) -> None:
    await limit(api, {"type": "Pod", "max": {"cpu": "1"}, "min": {"memory": "10Mi"}})
    with pytest.raises(Forbidden) as refused:
        await api.request("POST", PODS, body=asking(requests={"memory": "1Mi"}, limits={"cpu": "2"}))
    assert refused.value.message == (
        'pods "a" is forbidden: [minimum memory usage per Pod is 10Mi, but request is 1Mi, '
        "maximum cpu usage per Pod is 1, but limit is 2]"
    )
    await api.request("POST", PODS, body=asking(requests={"memory": "20Mi"}, limits={"cpu": "1"}))
    resize = {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}}}]}}
    with pytest.raises(Forbidden, match="maximum cpu usage per Pod is 1, but limit is 2"):
        await api.request("PATCH", PODS + "/a/resize", body=resize, content_type=STRATEGIC)


def test_bounds_of_claims() -> None:
    item = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "10Gi"}}
    limits = {"spec": {"limits": [item]}}

    def wrong(size: str) -> list[str]:
        return check_claim(limits, {"spec": {"resources": {"requests": {"storage": size}}}})

    assert wrong("5Gi") == []
    assert wrong("20Gi") == ["maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 20Gi"]
    assert wrong("1Mi") == ["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"]


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}, "min value 2 is greater than max value 1"),
        (
            {"type": "Pod", "default": {"cpu": "2"}},
            "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
        ),
        ({"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}}, "ratio 500m is less than 1"),
        ({"type": "Nonsense"}, "must be a standard limit type or fully qualified"),
        (
            {"type": "PersistentVolumeClaim"},
            "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
        ),
        (
            {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "2"}},
            "default request value 2 is greater than default limit value 1",
        ),
        (
            {"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}},
            "ratio 3 is greater than max/min = 2.000000",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(api: LocalTransport, item: Any, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        await limit(api, item)
    assert why in refused.value.message
