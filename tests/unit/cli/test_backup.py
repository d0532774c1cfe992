"""`minik backup` and `minik restore` without a server: what arrives damaged, what is shown, what a failure leaves."""

from __future__ import annotations

import base64
import hashlib
import http.client
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from minik.cli import backup, restore
from minik.clock import SystemClock
from minik.storage import check, identity
from minik.storage.backup import Summary, describe
from minik.storage.base import BackupError, Op, Revision
from minik.storage.open import open_store

KEYS = {"ca.crt": b"certificate", "ca.key": b"secret", "sa.key": b"another"}


async def stored(directory: Path, **objects: str) -> Path:
    """A data directory with a state and keys, that no server has open."""
    store = await open_store(directory, clock=SystemClock())
    for name, value in objects.items():
        await store.commit([Op(f"configmaps/default/{name}", value.encode())])
    await store.close()
    (directory / "pki").mkdir()
    for name, content in KEYS.items():
        (directory / "pki" / name).write_bytes(content)
    return directory


class FakeResponse:
    """A backup on its way."""

    def __init__(self, content: bytes, *, size: int, digest: bytes, breaks: bool = False) -> None:
        self._content, self._breaks = content, breaks
        named = f"sha-256=:{base64.b64encode(digest).decode()}:"
        self.headers: Mapping[str, str] = {"Minik-Size": str(size), "Repr-Digest": named, "Minik-Revision": "1"}

    def read(self, amount: int) -> bytes:
        part, self._content = self._content[:amount], self._content[amount:]
        if not part and self._breaks:
            raise http.client.IncompleteRead(b"")
        return part


def take(monkeypatch: pytest.MonkeyPatch, response: FakeResponse, data_dir: Path, file: Path) -> Result:
    """`minik backup FILE` of a running server that answers so."""

    class Door:
        def open(self, *_: str) -> FakeResponse:
            return response

    monkeypatch.setattr(backup, "is_running", lambda _: True)
    monkeypatch.setattr(backup, "connect", lambda *_, **__: Door())
    return CliRunner().invoke(backup.command, [str(file), "--data-dir", str(data_dir)])


async def content_of(directory: Path) -> bytes:
    store = await open_store(directory, clock=SystemClock())
    await store.commit([Op("configmaps/default/a", b"{}")])
    await store.backup(directory / "made.db")
    await store.close()
    return (directory / "made.db").read_bytes()


async def test_only_what_the_server_sent_becomes_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = await content_of(tmp_path / "there")
    digest, size = hashlib.sha256(content).digest(), len(content)
    other = bytes([content[0], content[1] ^ 1]) + content[2:]
    target, data = tmp_path / "out" / "b.db", tmp_path / "data"
    target.parent.mkdir()
    for wrong, words in (
        (FakeResponse(content[:-1], size=size, digest=digest), "not what the server sent"),
        (FakeResponse(other, size=size, digest=digest), "not what the server sent"),
        (FakeResponse(content[:9], size=size, digest=digest, breaks=True), "stopped in the midst"),
        (FakeResponse(b"junk" * 999, size=3996, digest=hashlib.sha256(b"junk" * 999).digest()), "no backup was made"),
    ):
        result = take(monkeypatch, wrong, data, target)
        assert result.exit_code == 1 and words in result.output, result.output
        assert list(target.parent.iterdir()) == []
    result = take(monkeypatch, FakeResponse(content, size=size, digest=digest), data, target)
    assert result.exit_code == 0 and " 1 object, " in result.output, result.output
    assert [path.name for path in target.parent.iterdir()] == ["b.db"]
    assert target.stat().st_mode & 0o777 == 0o600


async def test_a_failure_leaves_the_older_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "b.db"
    target.write_text("the older one")
    junk = FakeResponse(b"junk", size=5, digest=b"")
    monkeypatch.setattr(backup, "is_running", lambda _: True)
    assert "--force" in take(monkeypatch, junk, tmp_path / "data", target).output
    assert target.read_text() == "the older one"


async def test_the_files_of_a_stopped_server_stay_as_they_are(tmp_path: Path) -> None:
    data = await stored(tmp_path / "data", a="1", b="2")
    before = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    target = tmp_path / "b.db"
    result = CliRunner().invoke(backup.command, [str(target), "--data-dir", str(data)])
    assert result.exit_code == 0, result.output
    assert {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()} == before
    assert describe(target).objects == {"configmaps": 2}
    assert identity.files_of(target) == KEYS and check.check_file(target) == []


async def test_keys_go_where_there_are_none_and_nowhere_else(tmp_path: Path) -> None:
    data = await stored(tmp_path / "data", a="1")
    target = tmp_path / "b.db"
    CliRunner().invoke(backup.command, [str(target), "--data-dir", str(data)])
    new = tmp_path / "new"
    result = CliRunner().invoke(restore.command, [str(target), "--data-dir", str(new), "--yes"])
    assert result.exit_code == 0, result.output
    assert {path.name: path.read_bytes() for path in (new / "pki").iterdir()} == KEYS
    assert all(path.stat().st_mode & 0o077 == 0 for path in (new / "pki").iterdir())
    assert identity.files_of(new / "state.db") == {} and b"secret" not in (new / "state.db").read_bytes()
    assert identity.files_of(target) == KEYS, "the backup stays as it is"


async def test_a_restore_that_fails_leaves_keys_and_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = await stored(tmp_path / "data", a="1")
    target = tmp_path / "b.db"
    CliRunner().invoke(backup.command, [str(target), "--data-dir", str(data)])

    def fail(*_: object, **__: object) -> None:
        raise BackupError("no room")

    monkeypatch.setattr(restore, "restore", fail)
    new = tmp_path / "new"
    result = CliRunner().invoke(restore.command, [str(target), "--data-dir", str(new), "--yes"])
    assert result.exit_code == 1 and "no room" in result.output
    assert not (new / "pki").exists()
    (data / "pki" / "ca.crt").write_bytes(b"ours")
    result = CliRunner().invoke(restore.command, [str(target), "--data-dir", str(data), "--yes", "--identity"])
    assert result.exit_code == 1
    assert (data / "pki" / "ca.crt").read_bytes() == b"ours"
    assert sorted(path.name for path in data.iterdir() if "pki" in path.name) == ["pki"]


def test_what_will_be_replaced_is_shown_beside_what_comes() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    then = Summary(Revision(5), 2, moment, {"configmaps": 1, "pods": 2}, 4096)
    now = Summary(Revision(70), 2, None, {"configmaps": 3, "secrets": 1}, 1_500_000)
    assert restore.comparison(now, then) == [
        "             now       backup",
        "revision     70        5",
        "last write   unknown   2026-01-02 03:04:05Z",
        "size         1.5 MB    4.1 kB",
        "configmaps   3         1",
        "pods         0         2",
        "secrets      1         0",
    ]
    assert restore.comparison(None, then)[:2] == ["             backup", "revision     5"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (2e9, "2.0 GB"), (3e12, "3000.0 GB")],
)
def test_sizes(size: float, shown: str) -> None:
    assert backup.size_text(size) == shown
