"""What a node says of its use of cpu and memory: the answer to `StatsRequest`, as bytes and back.

Written by `agent/stats.py`, read by `server/metricsapi.py`. CPU is counted since a container (or the host) began; two samples make a
rate. Source of the notions: kubelet's summary API (usageCoreNanoSeconds, workingSetBytes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu`: nanoseconds of cpu time used so far; `memory`: the working set in bytes (without page cache that is easily given up)."""

    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class ContainerSample:
    """A running container of the pod `uid`."""

    uid: str
    name: str
    started: datetime
    usage: Usage


@dataclass(frozen=True, slots=True)
class NodeSample:
    """A node at `time`, which is the node's own."""

    time: datetime
    node: Usage
    containers: tuple[ContainerSample, ...]


def encode_sample(sample: NodeSample) -> bytes:
    containers = [
        [c.uid, c.name, c.started.isoformat(), c.usage.cpu, c.usage.memory] for c in sample.containers
    ]  # by position: a node has hundreds
    node = [sample.node.cpu, sample.node.memory]
    return orjson.dumps({"time": sample.time.isoformat(), "node": node, "containers": containers})


def decode_sample(data: bytes) -> NodeSample:
    """Raises ValueError for what is no sample."""
    try:
        value = orjson.loads(data)
        containers = tuple(
            ContainerSample(uid, name, datetime.fromisoformat(started), Usage(int(cpu), int(memory)))
            for uid, name, started, cpu, memory in value["containers"]
        )
        cpu, memory = value["node"]
        return NodeSample(datetime.fromisoformat(value["time"]), Usage(int(cpu), int(memory)), containers)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a sample of a node: {error}") from error
