"""Metrics in the Prometheus text format: counters, gauges and histograms with labels.

Own code rather than prometheus-client because a server at rest pays for it (4 MB and 60 ms of import) and needs only
this much. A metric's child for one set of label values is a plain object to keep and to call: `requests.labels("get").inc()`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

DEFAULT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


class Value:
    """One counter or gauge value."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, by: float = 1.0) -> None:
        self.value += by

    def set(self, value: float) -> None:
        self.value = value


class Distribution:
    """One histogram's counts."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _labels(names: Sequence[str], values: Sequence[str], extra: str = "") -> str:
    pairs = [f'{n}="{_escape(v)}"' for n, v in zip(names, values, strict=True)]
    if extra:
        pairs.append(extra)
    return "{" + ",".join(pairs) + "}" if pairs else ""


class Metric:
    """A family of counters or gauges, one child for each set of label values."""

    def __init__(self, kind: str, name: str, text: str, labels: Sequence[str]) -> None:
        self.kind, self.name, self.text, self.label_names = kind, name, text, tuple(labels)
        self._children: dict[tuple[str, ...], Value] = {}

    def labels(self, *values: str) -> Value:
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Value()
        return child

    def values(self) -> Iterable[tuple[tuple[str, ...], float]]:
        """(label values, value) of each child."""
        return ((values, child.value) for values, child in self._children.items())

    def lines(self) -> Iterable[str]:
        for values, value in self.values():
            yield f"{self.name}{_labels(self.label_names, values)} {value:g}"


class Histogram:
    """A family of histograms."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self.name, self.text, self.label_names, self.buckets = name, text, tuple(labels), tuple(buckets)
        self._children: dict[tuple[str, ...], Distribution] = {}

    def labels(self, *values: str) -> Distribution:
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Distribution(self.buckets)
        return child

    def lines(self) -> Iterable[str]:
        for values, child in self._children.items():
            seen = 0
            for bound, count in zip((*self.buckets, float("inf")), child.counts, strict=True):
                seen += count
                shown = "+Inf" if bound == float("inf") else f"{bound:g}"
                le = 'le="' + shown + '"'
                yield f"{self.name}_bucket{_labels(self.label_names, values, le)} {seen}"
            yield f"{self.name}_sum{_labels(self.label_names, values)} {child.total:g}"
            yield f"{self.name}_count{_labels(self.label_names, values)} {seen}"


class Metrics:
    """A process's registry of metrics."""

    def __init__(self) -> None:
        self._families: dict[str, Metric | Histogram] = {}
        self._collect: list[Callable[[], None]] = []

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Metric:
        return self._metric("counter", name, text, labels)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Metric:
        return self._metric("gauge", name, text, labels)

    def _metric(self, kind: str, name: str, text: str, labels: Sequence[str]) -> Metric:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Metric(kind, name, text, labels)
        assert isinstance(family, Metric)
        return family

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> Histogram:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Histogram(name, text, labels, buckets)
        assert isinstance(family, Histogram)
        return family

    def on_collect(self, refresh: Callable[[], None]) -> None:
        """Have `refresh` called before each scrape, to set gauges that nobody else keeps up to date."""
        self._collect.append(refresh)

    def render(self) -> str:
        """The Prometheus text exposition (format version 0.0.4)."""
        for refresh in self._collect:
            refresh()
        out: list[str] = []
        for family in self._families.values():
            out += (f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}", *family.lines())
        return "\n".join(out) + "\n"
