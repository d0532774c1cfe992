"""What plugins can hang on the scheduler's loop besides filters and scores: steps around a binding, and other resources to follow.

A `BindStep` is what kube-scheduler calls Reserve, Unreserve and PreBind in one: `VolumeBinding` and `DynamicResources` are such. A
`Follower` keeps what a plugin knows of another resource up to date; that knowledge lives in `Cluster.part`, so that filters find it
there and stay functions of the cluster. Both stand in `plugins.Plugins`; `loop.py` and `binder.py` call them.

    class Claims:                       # state; made once for a cluster, without arguments
        def __init__(self) -> None: ...

    def added(cluster: Cluster, claim: ROObj) -> frozenset[str]:
        cluster.part(Claims).put(claim)
        return frozenset({"VolumeBinding"})    # the filters whose verdicts this may have changed for the better
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from minik.api.meta import ROObj
from minik.client.client import Client
from minik.sched.snapshot import Cluster, PodInfo

Helped: TypeAlias = frozenset[str]
"""Names of filters."""

NOTHING: Helped = frozenset()


def _nothing_one(_cluster: Cluster, _obj: ROObj) -> Helped:
    return NOTHING


def _nothing_two(_cluster: Cluster, _old: ROObj, _new: ROObj) -> Helped:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Follower:
    """Another resource that plugins go by. Each function notes the change in `cluster` and says which filters it may have helped.

    They are called in the order of the log, must return at once, and must not raise. What exists already comes as `added` before
    the first pod is scheduled. Equal followers of several profiles are followed once.
    """

    resource: str
    added: Callable[[Cluster, ROObj], Helped] = _nothing_one
    updated: Callable[[Cluster, ROObj, ROObj], Helped] = _nothing_two
    deleted: Callable[[Cluster, ROObj], Helped] = _nothing_one


@dataclass(frozen=True, slots=True)
class BindStep:
    """Something to be done between the choice of a node and the binding.

    `wants` is asked right after the decision; of a pod it does not want, the step hears nothing more. `reserve` notes in `cluster`,
    at once, what the pod takes; `unreserve` takes that back, whatever part of it there is (it may be called twice, and for a pod
    that was deleted meanwhile). `pre_bind` writes to the API and may wait (for minutes: it holds no slot of the bindings); it
    raises StatusError if the pod cannot run there after all: then everything is unreserved and the pod tried again later. It is
    cancelled when the pod is deleted. It may wait for what a follower sees (keep futures in `Cluster.part`). Steps reserve and
    pre-bind in order, and unreserve in the opposite one. What is reserved for a pod that was bound stays: that it goes is the
    step's own business (it follows what it wrote).
    """

    name: str
    wants: Callable[[PodInfo, Cluster], bool]
    reserve: Callable[[PodInfo, str, Cluster], None]
    unreserve: Callable[[PodInfo, str, Cluster], None]
    pre_bind: Callable[[PodInfo, str, Cluster, Client], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Assumed:
    """A pod that counts on its node already, while its binding is under way."""

    pod: PodInfo
    node: str
    steps: Sequence[BindStep]
