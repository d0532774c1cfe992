"""The words that planning and acting share: actions, what a worker remembers between them, and the plan itself. Values only.

Made by `plan.py`, carried out by `act.py`, told of by `status.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from minik.agent.containers.base import ContainerInfo

Container: TypeAlias = Mapping[str, Any]
Role = Literal["init", "sidecar", "app", "ephemeral"]


# --- actions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the pod's volumes, or bring them up to date."""


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class Attach:
    """Plumb the running sandbox's network; also after the agent started anew, when it may well be there already."""

    sandbox: ContainerInfo


@dataclass(frozen=True, slots=True)
class Start:
    """Create and start a container; `existing` is one that was created and never started."""

    container: Container
    role: Role
    attempt: int
    backoff: int
    existing: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop one container, its preStop hook first. `grace` in seconds. `again`: it is to be started anew however it ends."""

    container: Container
    id: str
    grace: int
    message: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Resize:
    """Give a running container the resources that `container` has."""

    container: Container
    id: str


@dataclass(frozen=True, slots=True)
class StopPod:
    """Stop every container (sidecars last, in reverse order), then the sandbox. `grace` in seconds."""

    grace: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete dead containers and sandboxes that nobody will ask for any more."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """The pod has ended: give back its address and its volumes; the dead containers stay for their logs."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The pod is deleted and nothing of it runs: remove containers, network, directories, and the object."""


Action: TypeAlias = Prepare | CreateSandbox | Attach | Start | Stop | Resize | StopPod | Remove | Release | Finish


# --- what the worker remembers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """The probes' verdict on one running container. `failed` is the message of a failed liveness or startup probe."""

    started: bool = True
    ready: bool = True
    failed: str = ""
    grace: int | None = None
    """The failed probe's own terminationGracePeriodSeconds."""


HEALTHY = Health()


@dataclass(frozen=True, slots=True)
class Delay:
    """Not to be tried before `until`; reason and message as `state.waiting` shows them."""

    until: datetime
    reason: str
    message: str


class Pending(NamedTuple):
    """Why a resize waits. `reason`: Deferred (there may be room later) or Infeasible."""

    reason: str
    message: str


@dataclass(slots=True)
class Memory:
    """What cannot be read off the engine. Lost when the agent restarts, and made good by trying again."""

    health: dict[str, Health] = field(default_factory=dict)
    """By container id."""
    delays: dict[str, Delay] = field(default_factory=dict)
    """By container name; `names.SANDBOX` for the pod as a whole."""
    failed: tuple[str, str] | None = None
    """(reason, message): the pod is Failed whatever its containers do: rejected, past its deadline."""
    released: bool = False
    prepared: bool = False
    """The volumes are made and show what their sources hold."""
    renew_at: datetime | None = None
    """When a token in a volume is to be renewed."""
    attached: str = ""
    """The id of the sandbox whose network is known to work."""
    tries: dict[str, int] = field(default_factory=dict)
    """Failures in a row, by container name."""
    again: set[str] = field(default_factory=set)
    """Containers that were stopped to be started anew, by name."""
    allotted: Mapping[str, Mapping[str, Any]] | None = None
    """The resources that the node has given the pod's containers, by name; None before the first look (`allotment.py`)."""
    pending: Pending | None = None
    """Why the pod does not get what its spec wants."""
    applied: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    """(container id, resources) that a container was started or resized with, by name."""


@dataclass(frozen=True, slots=True)
class Waiting:
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """`waiting` by container name, for the status. `wake_at`: plan again then at the latest. `fail`: the pod is to be
    remembered as failed (reason, message), then planned again."""

    actions: Sequence[Action] = ()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    wake_at: datetime | None = None
    fail: tuple[str, str] | None = None
