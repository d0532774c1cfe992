"""What the engine has of one pod: its sandboxes and containers, newest attempt first. Pure.

Built by `observe.py` from the engine's list, read by `plan.py` and `status.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from minik.agent import names
from minik.agent.containers.base import ContainerInfo


def attempt_of(info: ContainerInfo) -> int:
    text = info.labels.get(names.ATTEMPT, "0")
    return int(text) if text.isdigit() else 0


def sandbox_of(info: ContainerInfo) -> int:
    """The attempt of the sandbox that this container joined."""
    text = info.labels.get(names.SANDBOX_ATTEMPT, "0")
    return int(text) if text.isdigit() else 0


def backoff_of(info: ContainerInfo) -> int:
    text = info.labels.get(names.BACKOFF, "0")
    return int(text) if text.isdigit() else 0


def has_ended(info: ContainerInfo) -> bool:
    """It ran and stopped, or its command could not be started."""
    return info.state == "exited" or (info.state == "created" and bool(info.error))


def ended_at(info: ContainerInfo) -> datetime | None:
    return info.finished_at or info.created_at


def exit_code(info: ContainerInfo) -> int:
    """The exit code of a container that has ended; never 0 for one that could not be started."""
    if info.state == "created" and info.exit_code == 0:
        return 128
    return info.exit_code


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """Sandboxes and containers of one pod, newest attempt first."""

    sandboxes: tuple[ContainerInfo, ...] = ()
    containers: Mapping[str, tuple[ContainerInfo, ...]] = field(default_factory=dict)

    @property
    def sandbox(self) -> ContainerInfo | None:
        """The newest sandbox, if it runs."""
        newest = self.sandboxes[0] if self.sandboxes else None
        return newest if newest is not None and newest.state == "running" else None

    def latest(self, name: str) -> ContainerInfo | None:
        attempts = self.containers.get(name)
        return attempts[0] if attempts else None

    def everything(self) -> Iterable[ContainerInfo]:
        yield from self.sandboxes
        for attempts in self.containers.values():
            yield from attempts

    def running(self) -> list[ContainerInfo]:
        """Running containers, sandboxes not counted."""
        return [info for attempts in self.containers.values() for info in attempts if info.state == "running"]

    @property
    def is_empty(self) -> bool:
        return not self.sandboxes and not self.containers


NOTHING = ObservedPod()


def observed_pod(infos: Iterable[ContainerInfo]) -> ObservedPod:
    """Sort the containers of one pod by what their labels say."""
    sandboxes: list[ContainerInfo] = []
    containers: dict[str, list[ContainerInfo]] = {}
    for info in infos:
        if info.labels.get(names.KIND) == "sandbox":
            sandboxes.append(info)
        else:
            containers.setdefault(info.labels.get(names.CONTAINER, ""), []).append(info)
    sandboxes.sort(key=attempt_of, reverse=True)
    for attempts in containers.values():
        attempts.sort(key=attempt_of, reverse=True)
    return ObservedPod(tuple(sandboxes), {name: tuple(attempts) for name, attempts in containers.items()})
