"""Columns and windows: what is remembered of nodes, and the part of it that a decision takes."""

from __future__ import annotations

import pytest

from minik.sched import columns
from minik.sched.columns import Window
from minik.sched.snapshot import Cluster, PodInfo
from tests.support.objects import node, pod


def make(count: int) -> Cluster:
    return Cluster.of([node(f"n{number}", cpu=str(number + 1)) for number in range(count)])


def test_a_window_begins_anew_after_the_last_node() -> None:
    cluster = make(5)
    column = cluster.column("cpu", lambda node: node.allocatable["cpu"] / 1000)
    window = cluster.window(3, 4)
    assert [each.name for each in window] == ["n3", "n4", "n0", "n1"]
    assert window.take(column) == [4, 5, 1, 2]
    assert (len(window), window[2].name, window[-1].name) == (4, "n0", "n1")
    with pytest.raises(IndexError):
        window[4]


def test_a_window_with_a_mask_is_what_is_left() -> None:
    cluster = make(5)
    column = cluster.column("cpu", lambda node: node.allocatable["cpu"] / 1000)
    masked = Window(cluster.nodes, 3, 4, mask=[1.0, 0.0, 1.0, 0.0])
    assert ([each.name for each in masked], masked.take(column), len(masked)) == (["n3", "n0"], [4, 1], 2)
    assert masked[1].name == "n0" and not Window(cluster.nodes, 0, 2, mask=[0.0, 0.0])
    chosen = Window(cluster.nodes, 0, 0, chosen=[cluster.nodes[2]])
    assert (chosen.take(column), chosen[0].name) == ([3], "n2")


@pytest.mark.parametrize("remembered", [2, 4096])
def test_a_column_catches_up_with_what_has_changed(monkeypatch: pytest.MonkeyPatch, remembered: int) -> None:
    """Also where more has changed than is remembered, and where nodes have come."""
    monkeypatch.setattr(columns, "MAX_CHANGES", remembered)
    cluster = make(4)
    looks = []

    def count(node: object) -> float:
        looks.append(node)
        return float(len(node.pods))  # type: ignore[attr-defined]  # a NodeInfo

    column = cluster.column("pods", count)
    assert column.slice(0, 4) == [0, 0, 0, 0] == column.slice(0, 4)
    assert len(looks) == 4
    for number in range(6):
        cluster.set_pod(PodInfo(pod(f"p{number}")), f"n{number % 3}")
    cluster.set_node(node("n4"))
    assert column.slice(0, 5) == [2, 2, 2, 0, 0]
    assert len(looks) == (4 + 4 if remembered > 6 else 4 + 5)
    cluster.remove_pod("pod-p0")
    found = cluster.get("n0")
    assert found is not None and column.of(found) == 1
