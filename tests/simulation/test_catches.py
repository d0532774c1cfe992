"""The simulation finds bugs: each of these, put in on purpose, is caught within a few seeds, and by the right check."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from minik.agent.act import Actor
from minik.aio import Tasks
from minik.cli.controlplane import MASTERS
from minik.client.informer import Informer, Informers
from minik.client.manager import _Runner
from minik.controllers import garbagecollector
from minik.controllers.common import attach_plan
from minik.controllers.common.ownership import Presence
from minik.sched.devices import Devices
from minik.sched.filters import host_ports, pod_affinity, volume_restrictions
from minik.server.admission import quota
from minik.server.admission.addresses import Addresses
from minik.server.subresources import budgets
from minik.storage.entry import CacheEvent
from minik.storage.resource import Resource
from tests.support.simulation import host
from tests.support.simulation.disk import FILE, Disk
from tests.support.simulation.network import Link
from tests.support.simulation.run import Plan, simulate

SEEDS = 40


def caught(words: str, subjects: tuple[str, ...] | None = None) -> bool:
    """Whether a seed finds a problem that says `words`."""
    outcomes = (simulate(Plan(seed, pace=1.0, subjects=subjects)) for seed in range(SEEDS))
    return any(words in problem for outcome in outcomes for problem in outcome.problems)


def test_controllers_that_do_not_wait_to_see_their_own_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hurry(self: object, key: object, writes: object) -> None:
        del self, key, writes

    init = Link.__init__

    def slow(self: Link, name: str, rng: random.Random, *, latency: float) -> None:
        del latency
        init(self, name, rng, latency=0.1)

    monkeypatch.setattr(Link, "__init__", slow)  # so that there is something to wait for
    monkeypatch.setattr(_Runner, "_catch_up", hurry)
    assert caught("pods, was asked for")


def test_a_store_whose_last_writes_a_crash_takes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    pull_plug = Disk.pull_plug

    def forget(self: Disk) -> None:
        pull_plug(self)
        self.path.with_name(f"{FILE}-wal").unlink(missing_ok=True)

    monkeypatch.setattr(Disk, "pull_plug", forget)
    assert caught(" is gone")


def test_a_node_that_runs_the_pods_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    of = Informers.of

    def unselective(self: Informers, resource: str, **options: str) -> Informer:
        options.pop("field_selector", None)
        return of(self, resource, **options)

    monkeypatch.setattr(Informers, "of", unselective)
    monkeypatch.setattr(host, "NODES", MASTERS)  # or the server would not let it read them
    assert caught(" runs on node-")


def test_an_agent_that_does_not_wait_until_a_container_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(self: Actor, pod: Any, container: Any, container_id: str, grace: float) -> None:
        del pod, container
        Tasks("mutant").start("stop", self._ctx.runtime.stop(container_id, grace))
        self._ctx.observations.drop(container_id)

    monkeypatch.setattr(Actor, "_stop", leave)
    assert caught(" runs twice on ")


def test_a_watch_that_misses_what_came_while_it_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    since = Resource.since

    def one_less(self: Resource, revision: int) -> Iterator[CacheEvent]:
        return itertools.islice(since(self, revision), 1, None)

    monkeypatch.setattr(Resource, "since", one_less)
    assert caught("missed [")


async def _nothing(*_: object) -> None:
    """Lets everything pass."""


async def _always_absent(*_: object) -> Presence:
    return Presence.ABSENT


@pytest.mark.parametrize(
    ("subject", "owner", "name", "broken", "words"),
    [
        ("quotas", quota, "_check", lambda *_: None, " of quota "),
        ("placing", budgets, "take", _nothing, " is evicted, budget "),
        ("placing", host_ports, "_conflicts", lambda *_: (), " has port "),
        ("placing", volume_restrictions, "single_use", lambda *_: (), " is used by "),
        ("placing", pod_affinity, "_check", lambda *_: None, " will not be beside "),
        ("custom", garbagecollector, "_presence", _always_absent, " goes, and its owner "),
        ("devices", Devices, "taken", lambda *_: set(), " both have "),
        ("networking", Addresses, "_is_taken", lambda *_: False, " both have "),
        ("storage", attach_plan, "is_exclusive", lambda _: False, " is attached to "),
    ],
)
def test_rules_that_somebody_forgot(
    subject: str, owner: object, name: str, broken: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert caught(words, (subject,))
