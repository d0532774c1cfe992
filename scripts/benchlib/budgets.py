"""The budget table: what must hold. The design's own, in one place."""

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
    "scale: nodes and pods Running": Budget("s", at_most=60),
    "scale: memory": Budget("MB", at_most=2000),
    "1,000 watchers, p99": Budget("ms", at_most=250),
    "1,000 watchers, events lost": Budget("", at_most=0),
    "pod start against the Docker API": Budget("×", at_most=1.3),
}
