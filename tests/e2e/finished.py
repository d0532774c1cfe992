"""Pods that run to their end, many at once, for tests that look at what each of them printed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.conftest import OneNode
from tests.support.e2e import Client, Obj
from tests.support.images import BUSYBOX
from tests.support.process import until

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    """One pod with one container, and the lines that it must print. `rows`: the conformance rows that it stands for."""

    name: str
    rows: Sequence[str]
    script: str
    prints: Sequence[str]
    volumes: Sequence[Obj] = ()
    """Each is mounted at /etc/<its name>, or as `mounts` says."""
    mounts: Sequence[Obj] = ()
    container: Obj = field(default_factory=dict)
    """Fields of the container; None for one that is to be left out."""
    spec: Obj = field(default_factory=dict)
    metadata: Obj = field(default_factory=dict)

    def pod(self) -> Obj:
        mounts = list(self.mounts) or [{"name": v["name"], "mountPath": f"/etc/{v['name']}"} for v in self.volumes]
        container = {
            "name": "test", "image": BUSYBOX, "command": ["sh", "-c", self.script], "volumeMounts": mounts, **self.container,
        }  # fmt: skip
        container = {key: value for key, value in container.items() if value is not None}
        spec = {"restartPolicy": "Never", "volumes": list(self.volumes), "containers": [container], **self.spec}
        return {"metadata": {"name": self.name, **self.metadata}, "spec": spec}


@dataclass(frozen=True)
class Finished:
    """What became of the pods of all cases."""

    api: Client
    logs: dict[str, str]

    def check(self, case: Case) -> None:
        printed = self.logs[case.name].splitlines()
        missing = [line for line in case.prints if line not in printed]
        assert not missing, f"{case.name} did not print {missing}, but\n{self.logs[case.name]}"


@contextlib.contextmanager
def finished(one: OneNode, cases: Sequence[Case], objects: Sequence[tuple[str, Obj]]) -> Iterator[Finished]:
    """All cases run in one namespace that has `objects` ((plural, object))."""
    namespace = f"finished-{next(_numbers)}"
    path = f"/api/v1/namespaces/{namespace}"
    assert one.server.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}).status == 201
    until(lambda: one.server.request("GET", f"{path}/serviceaccounts/default").status == 200, "a service account")
    api = Client(one.server, namespace)
    for plural, obj in objects:
        api.create(plural, obj)
    for case in cases:
        api.create("pods", case.pod())
    yield Finished(api, {case.name: _log(api, case) for case in cases})
    one.server.request("DELETE", path)


def _log(api: Client, case: Case) -> str:
    def status() -> Any:
        found = api.get("pods", case.name)["status"]
        return found if found["phase"] in ("Succeeded", "Failed") else None

    until(status, f"the pod {case.name} has ended", timeout=120)
    return api.ask("GET", f"{api.path('pods', case.name)}/log?container=test").body.decode()
