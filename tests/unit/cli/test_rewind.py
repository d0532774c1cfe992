"""`minik rewind` against a server that answers as it is told: what happens between looking and writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minik.cli import rewind
from minik.cli.light import DISCOVERY, Refused

THEN, NOW = {"n": 1}, {"n": 2}


class FakeDoor:
    """One ConfigMap with a history. `meanwhile`: what somebody does between the dry run and the write, once each."""

    def __init__(self, *meanwhile: Callable[[FakeDoor], None]) -> None:
        self.revision = 10
        self.obj: dict[str, Any] | None = self._state(NOW, 10)
        self.written: list[tuple[str, Any]] = []
        self._meanwhile = list(meanwhile)

    def _state(self, data: Any, revision: int, **more: Any) -> dict[str, Any]:
        metadata = {"name": "c", "namespace": "default", "uid": "u", "resourceVersion": str(revision)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data, **more}

    def change(self, data: Any, **more: Any) -> None:
        self.revision += 1
        self.obj = self._state(data, self.revision, **more)

    def ask_dated(self, method: str, path: str, **how: Any) -> tuple[Any, str]:
        return self.ask(method, path, **how), ""

    def ask(self, method: str, path: str, *, query: Any = None, body: Any = None, accept: str = "") -> Any:
        if accept == DISCOVERY:
            entry = {
                "resource": "configmaps",
                "responseKind": {"kind": "ConfigMap"},
                "scope": "Namespaced",
                "shortNames": ["cm"],
            }
            return {"items": [{"metadata": {}, "versions": [{"version": "v1", "resources": [entry]}]}]}
        if path.startswith("/minik/v1/history/"):
            versions = [{"revision": 1, "type": "PUT", "object": self._state(THEN, 1)}]
            versions.append({"revision": self.revision, "type": "PUT" if self.obj else "DELETE", "object": self.obj})
            return {"versions": versions, "oldest": 0, "revision": self.revision}
        if query:
            return body
        if self._meanwhile:
            self._meanwhile.pop(0)(self)
        if method == "PUT" and (
            self.obj is None or body["metadata"]["resourceVersion"] != self.obj["metadata"]["resourceVersion"]
        ):
            raise Refused(409, {"reason": "Conflict", "message": "the object has been modified"})
        self.revision += 1
        self.written.append((method, body))
        return {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.revision)}}


def run(door: FakeDoor, monkeypatch: pytest.MonkeyPatch, *words: str, answer: str = "") -> Result:
    monkeypatch.setattr(rewind, "connect", lambda *_, **__: door)
    return CliRunner().invoke(rewind.command, ["cm/c", "--to", "1", *words], input=answer)


def test_the_old_state_is_written_over_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    door = FakeDoor()
    result = run(door, monkeypatch, answer="y\n")
    assert result.exit_code == 0 and "~ data.n: 2 → 1" in result.output and "now at revision 11" in result.output
    ((method, body),) = door.written
    assert (method, body["data"], body["metadata"]["resourceVersion"]) == ("PUT", THEN, "10")


@pytest.mark.parametrize("words", [["--dry-run"], ["--dry-run", "--yes"]])
def test_a_dry_run_writes_nothing(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    door = FakeDoor()
    assert run(door, monkeypatch, *words).exit_code == 0
    assert door.written == []


def test_it_is_asked_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in ("n\n", ""):
        door = FakeDoor()
        assert run(door, monkeypatch, answer=answer).exit_code == 1
        assert door.written == []


def test_a_status_written_meanwhile_is_no_reason_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    door = FakeDoor(lambda d: d.change(NOW, status={"s": 1}), lambda d: d.change(NOW, status={"s": 2}))
    result = run(door, monkeypatch, "--yes")
    assert result.exit_code == 0, result.output
    ((_, body),) = door.written
    assert body["data"] == THEN and body["status"] == {"s": 2} and body["metadata"]["resourceVersion"] == "12"


def test_what_somebody_else_declared_meanwhile_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    door = FakeDoor(lambda d: d.change({"n": 3}))
    result = run(door, monkeypatch, "--yes")
    assert result.exit_code == 1 and "somebody else changed" in result.output
    assert door.written == []


def test_what_was_deleted_meanwhile_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(door: FakeDoor) -> None:
        door.revision += 1
        door.obj = None

    door = FakeDoor(gone)
    assert run(door, monkeypatch, "--yes").exit_code == 1
    assert door.written == []


def test_a_status_that_never_rests_ends_in_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    door = FakeDoor(*[lambda d: d.change(NOW, status={"s": d.revision})] * 50)
    result = run(door, monkeypatch, "--yes")
    assert result.exit_code == 1 and "meanwhile" in result.output
    assert door.written == []
