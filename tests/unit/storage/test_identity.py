"""The cluster's keys in a backup, and copies of states that no server has open."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from minik.clock import SystemClock
from minik.storage import check, identity
from minik.storage.backup import copy_closed, describe, restore
from minik.storage.base import BackupError, Op, OpenError
from minik.storage.open import open_store

KEYS = {"ca.crt": b"certificate", "ca.key": b"very secret"}


async def stopped(directory: Path, writes: int = 3) -> Path:
    """The state file of a store that is closed."""
    store = await open_store(directory, clock=SystemClock())
    for number in range(writes):
        await store.commit([Op("configmaps/default/a", str(number).encode())])
    await store.close()
    return directory / "state.db"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_keys_go_in_and_come_out_and_the_backup_stays_sound(tmp_path: Path) -> None:
    copy_closed(await stopped(tmp_path / "data"), tmp_path / "b.db")
    assert identity.files_of(tmp_path / "b.db") == {}
    identity.put(tmp_path / "b.db", KEYS)
    assert identity.files_of(tmp_path / "b.db") == KEYS
    assert check.check_file(tmp_path / "b.db") == []
    with pytest.raises(sqlite3.Error):
        identity.put(tmp_path / "b.db", KEYS)


async def test_a_restored_state_has_no_keys_in_it_not_even_their_bytes(tmp_path: Path) -> None:
    copy_closed(await stopped(tmp_path / "data"), tmp_path / "b.db")
    identity.put(tmp_path / "b.db", KEYS)
    restore(tmp_path / "b.db", tmp_path / "new", now=SystemClock().now())
    assert identity.files_of(tmp_path / "new" / "state.db") == {}
    assert b"very secret" not in (tmp_path / "new" / "state.db").read_bytes()
    assert b"very secret" in (tmp_path / "b.db").read_bytes()
    store = await open_store(tmp_path / "new", clock=SystemClock())
    record = await store.get("configmaps/default/a")
    await store.close()
    assert record is not None and record.value == b"2"


async def test_names_that_lead_elsewhere_are_not_taken(tmp_path: Path) -> None:
    copy_closed(await stopped(tmp_path / "data"), tmp_path / "b.db")
    identity.put(
        tmp_path / "b.db", {"../../evil": b"x", "/etc/evil": b"x", "ca.crt": b"fine", "": b"x", "..": b"x", ".": b"x"}
    )
    assert identity.files_of(tmp_path / "b.db") == {"ca.crt": b"fine"}


async def test_a_copy_of_a_stopped_state_is_private_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    state = await stopped(tmp_path / "data")
    before = state.read_bytes()
    revision = copy_closed(state, tmp_path / "b.db")
    assert state.read_bytes() == before
    assert (tmp_path / "b.db").stat().st_mode & 0o777 == 0o600
    assert describe(tmp_path / "b.db").revision == revision == 3
    assert [name for name in names(tmp_path) if name.startswith("b.db")] == ["b.db"]


async def test_no_copy_of_what_is_open_damaged_or_missing(tmp_path: Path) -> None:
    state = await stopped(tmp_path / "data")
    store = await open_store(tmp_path / "data", clock=SystemClock())
    with pytest.raises(OpenError):
        copy_closed(state, tmp_path / "b.db")
    await store.close()
    with pytest.raises(OpenError):
        copy_closed(tmp_path / "none.db", tmp_path / "b.db")
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])
    with pytest.raises(OpenError, match="not sound"):
        copy_closed(state, tmp_path / "b.db")
    assert not (tmp_path / "b.db").exists()


async def test_a_copy_replaces_nothing(tmp_path: Path) -> None:
    state = await stopped(tmp_path / "data")
    (tmp_path / "b.db").write_text("mine")
    with pytest.raises(BackupError):
        copy_closed(state, tmp_path / "b.db")
    assert (tmp_path / "b.db").read_text() == "mine"
