"""All sections: what measures them, how long they may take, and whether they belong to a run that names none."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.benchlib import cluster, docker, growth, memory, namespaces, pauses, peer, scheduling, startup, traffic
from scripts.benchlib.run import Run


@dataclass(frozen=True, slots=True)
class Section:
    """`limit`: seconds, several times what it takes on two cores that others use as well."""

    function: Callable[[Run], Coroutine[Any, Any, None]]
    limit: int
    default: bool = True


SECTIONS: Mapping[str, Section] = {
    "commands": Section(startup.commands, 60),
    "start": Section(startup.start, 90),
    "idle": Section(startup.idle, 90),
    "agent": Section(startup.agent, 120),
    "requests": Section(traffic.requests, 120),
    "watchers": Section(traffic.watchers, 120),
    "rollout": Section(cluster.rollout, 120),
    "update": Section(cluster.update, 300),
    "scheduling": Section(scheduling.scheduling, 300),
    "namespace": Section(namespaces.namespace, 240),
    "scale": Section(cluster.scale, 600),
    "pods": Section(docker.pods, 180),
    "pauses": Section(pauses.pauses, 240, default=False),
    "memory": Section(memory.memory, 300, default=False),
    "growth": Section(growth.growth, 900, default=False),
    "peer": Section(peer.peer, 600, default=False),
}
