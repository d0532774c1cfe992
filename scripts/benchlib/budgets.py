"""The budget table: what must hold. The design's own, in one place; and which way a unit is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """`at_most` or `at_least` bounds the figure."""

    unit: str
    at_most: float | None = None
    at_least: float | None = None

    def met(self, figure: float) -> bool:
        if self.at_most is not None:
            return figure <= self.at_most
        return self.at_least is None or figure >= self.at_least

    @property
    def text(self) -> str:
        return f"≤ {self.at_most:,g}" if self.at_most is not None else f"≥ {self.at_least:,g}"


BUDGETS = {
    "minik --help": Budget("ms", at_most=150),
    "minik get": Budget("ms", at_most=150),
    "cold start to /readyz": Budget("s", at_most=1.0),
    "cold start to node Ready": Budget("s", at_most=2.0),
    "idle memory, server with controllers": Budget("MB", at_most=100),
    "idle memory, agent": Budget("MB", at_most=60),
    "idle CPU, server": Budget("% core", at_most=1.0),
    "idle CPU, agent": Budget("% core", at_most=0.5),
    "idle disk writes": Budget("/s", at_most=1.0),
    "GET one object": Budget("/s", at_least=5000),
    "LIST of 500 pods": Budget("/s", at_least=500),
    "durable creates, 32 clients": Budget("/s", at_least=2500),
    "durable creates, 1 client": Budget("/s", at_least=1000),
    "3,000-replica Deployment on 100 nodes": Budget("pods/s", at_least=600),
    "scheduling: 10,000 pods on 5,000 nodes": Budget("pods/s", at_least=300),
    "scheduling: required pod anti-affinity": Budget("pods/s", at_least=60),
    "scheduling: required topology spread": Budget("pods/s", at_least=85),
    "rolling update of 1,000 replicas against their creation": Budget("×", at_most=4),
    "a namespace with 5,000 objects deleted": Budget("s", at_most=10),
    "scale: nodes and pods Running": Budget("s", at_most=60),
    "scale: memory": Budget("MB", at_most=2000),
    "1,000 watchers, p99": Budget("ms", at_most=250),
    "1,000 watchers, events lost": Budget("", at_most=0),
    "pod start against the Docker API": Budget("×", at_most=1.3),
    "memory of the pods that are stored, listed, watched": Budget("MB", at_most=500),
}


def is_more_better(name: str, unit: str) -> bool:
    """Whether a greater figure is the better one: its budget says so, or it counts things done in a time."""
    budget = BUDGETS.get(name)
    if budget is not None:
        return budget.at_least is not None
    return unit.endswith("/s")
