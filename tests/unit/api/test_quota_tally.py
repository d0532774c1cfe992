"""`Tally`: sums of what objects use, kept up as they change and as time passes."""

from __future__ import annotations

from minik.api.core_v1.quota_tally import Tally
from minik.api.meta import Obj
from tests.support.cluster import named

ENDS = "2026-01-01T00:00:30Z"
AT = 1767225630.0


def _going(cpu: str) -> Obj:
    """A pod that is being deleted, and has that much while it is."""
    container = {"name": "c", "image": "a", "resources": {"requests": {"cpu": "100m"}}}
    pod = named("p", "default", spec={"containers": [container]})
    pod["metadata"] |= {"uid": "u", "generation": 1, "deletionTimestamp": ENDS, "deletionGracePeriodSeconds": 0}
    pod["status"] = {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": cpu}}]}
    return pod


def test_a_pod_that_changes_while_it_goes_ends_once() -> None:
    tally = Tally("pods", [()], [], now=AT - 9)
    for cpu in ("100m", "300m", "200m"):
        tally.put("default/p", _going(cpu), now=AT - 9)
    assert tally.used(())["requests.cpu"] == 200 * 10**6
    assert tally.pass_time(AT - 1) == AT
    assert tally.pass_time(AT + 1) is None
    assert tally.used(())["requests.cpu"] == 0
    assert tally.used(())["count/pods"] == 10**9
