"""minik's endpoints that look back at the store, copy it and check it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from minik.api.errors import StatusError, from_status
from minik.api.meta import Obj
from minik.client.client import Client
from minik.clock import SystemClock
from minik.server import storeapi
from minik.server.request import Request, Response, User
from minik.storage import check
from minik.storage.sqlite import SqliteStore
from tests.support.apiserver import ADMIN, Running, running

KUBE_SYSTEM = User("system:serviceaccount:kube-system:x", frozenset({"system:serviceaccounts:kube-system"}))
NODE = User("system:node:a", frozenset({"system:nodes"}))
SOMEBODY = User("jane", frozenset({"system:authenticated"}))


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Running]:
    """A server over a file."""
    store = await SqliteStore.open(tmp_path / "state.db", clock=SystemClock())
    async with running(store=store, data_dir=tmp_path) as run:
        yield run


async def ask(run: Running, path: str, user: User = ADMIN, *, limit: str = "", at: str = "") -> Response:
    """Raises StatusError."""
    request = Request(
        "GET", path, {k: [v] for k, v in {"limit": limit, "at": at}.items() if v}, {}, None, True, "", user
    )
    response = await run.server.handler(request)
    if response.status >= 400:
        raise from_status(response.obj or {}, code=response.status)
    return response


async def history(run: Running, path: str, *, limit: str = "", at: str = "") -> Any:
    response = await ask(run, f"/minik/v1/history/{path}", limit=limit, at=at)
    assert response.raw is not None
    return orjson.loads(response.raw)


async def refusal(run: Running, path: str, user: User = ADMIN, *, limit: str = "", at: str = "") -> StatusError:
    with pytest.raises(StatusError) as caught:
        await ask(run, path, user, limit=limit, at=at)
    return caught.value


def config(**data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": data}


async def test_history_tells_who_wrote_what_and_when(run: Running) -> None:
    client = Client(run.local(), run.server.registry, manager="tests")
    made = await client.create("configmaps", config(a="1"))
    await client.patch("configmaps", "c", "default", {"data": {"a": "2"}})
    await client.delete("configmaps", "c", "default")
    found = await history(run, "configmaps/default/c")
    first, second, third = found["versions"]
    assert first["object"] == made
    assert first["object"]["metadata"]["resourceVersion"] == str(first["revision"])
    assert (first["type"], first["user"], first["manager"], first["verb"]) == ("PUT", ADMIN.name, "tests", "create")
    assert (
        second["object"]["data"] == {"a": "2"} and second["verb"] == "patch" and second["created"] == first["revision"]
    )
    assert (third["type"], third["object"], third["verb"]) == ("DELETE", None, "delete")
    assert first["time"].endswith("Z") and first["time"] <= second["time"] <= third["time"]
    assert found["revision"] >= third["revision"] and found["omitted"] == 0


async def test_history_can_be_cut_to_the_newest(run: Running) -> None:
    client = Client(run.local(), run.server.registry)
    await client.create("configmaps", config(a="0"))
    for number in range(1, 4):
        await client.patch("configmaps", "c", "default", {"data": {"a": str(number)}})
    found = await history(run, "configmaps/default/c", limit="2")
    assert [v["object"]["data"]["a"] for v in found["versions"]] == ["2", "3"]
    assert found["omitted"] == 2


@pytest.mark.parametrize(
    ("at", "values"), [(0, ["4"]), (1, ["1", "4"]), (2, ["2", "4"]), (3, [None, "4"]), (4, ["4"]), (99, ["4"])]
)
async def test_history_can_be_that_at_a_revision_and_the_last(run: Running, at: int, values: list[str | None]) -> None:
    client = Client(run.local(), run.server.registry)
    before = run.cache.revision
    await client.create("configmaps", config(a="1"))
    await client.patch("configmaps", "c", "default", {"data": {"a": "2"}})
    await client.delete("configmaps", "c", "default")
    await client.create("configmaps", config(a="4"))
    found = await history(run, "configmaps/default/c", at=str(before + at))
    assert [v["object"] and v["object"]["data"]["a"] for v in found["versions"]] == values


async def test_what_never_was_has_no_history(run: Running) -> None:
    assert (await history(run, "configmaps/default/none"))["versions"] == []


async def test_kinds_without_a_namespace_and_with_a_group(run: Running) -> None:
    assert (await history(run, "namespaces/-/default"))["versions"][0]["verb"] == "create"
    assert (await history(run, "deployments.apps/default/none"))["versions"] == []


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/minik/v1/history/configmaps", 400, "RESOURCE/NAMESPACE/NAME"),
        ("/minik/v1/history/configmaps/default/", 400, "RESOURCE/NAMESPACE/NAME"),
        ("/minik/v1/history/widgets/default/a", 404, "widgets"),
        ("/minik/v1/history/configmaps/-/a", 400, "are namespaced"),
        ("/minik/v1/history/nodes/default/a", 400, "are not namespaced"),
        ("/minik/v1/other", 404, "could not find"),
        ("/minik", 404, "could not find"),
    ],
)
async def test_bad_paths_are_refused_with_a_reason(run: Running, path: str, code: int, words: str) -> None:
    error = await refusal(run, path)
    assert error.status_code == code and words in error.message


@pytest.mark.parametrize("limit", ["-1", "x"])
async def test_bad_limits_are_refused(run: Running, limit: str) -> None:
    path = "/minik/v1/history/configmaps/default/c"
    assert (await refusal(run, path, limit=limit)).status_code == 400
    assert (await refusal(run, path, at=limit)).status_code == 400


@pytest.mark.parametrize("user", [KUBE_SYSTEM, NODE, SOMEBODY])
@pytest.mark.parametrize("path", ["history/secrets/default/s", "backup", "check", "other"])
async def test_only_administrators_may(run: Running, user: User, path: str) -> None:
    error = await refusal(run, f"/minik/v1/{path}", user)
    assert error.status_code == 403 and user.name in error.message


@pytest.mark.parametrize("path", ["/minik/v1/backup", "/minik/v1/check"])
async def test_a_store_in_memory_says_that_it_cannot(run: Running, path: str) -> None:
    assert (await refusal(run, path)).status_code == 501


async def test_a_sound_store_has_no_problems(stored: Running) -> None:
    answer = (await ask(stored, "/minik/v1/check")).obj
    assert answer is not None and answer["problems"] == [] and answer["revision"] == stored.cache.revision


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def take(response: Response) -> bytes:
    assert response.stream is not None
    return b"".join([chunk async for chunk in response.stream])


async def test_a_backup_is_a_sound_state_file_and_says_what_it_is(
    stored: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    backups = tmp_path_factory.mktemp("backups")
    response = await ask(stored, "/minik/v1/backup")
    revision = stored.cache.revision
    await Client(stored.local(), stored.server.registry).create("configmaps", config())  # not in it
    content = await take(response)
    assert int(response.headers["Minik-Revision"]) == revision
    assert int(response.headers["Minik-Size"]) == len(content)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert response.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    backups.joinpath("b.db").write_bytes(content)
    assert check.check_file(backups / "b.db") == []


async def test_nothing_of_a_backup_stays_when_its_reader_goes_away(stored: Running, tmp_path: Path) -> None:
    before = names(tmp_path)
    response = await ask(stored, "/minik/v1/backup")
    assert names(tmp_path) == before
    stream = response.stream
    assert stream is not None
    assert await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator, as http.py knows


async def test_what_a_killed_server_left_of_a_backup_is_removed_at_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / "backup.tmp" / ".state.copy.partial"
    left.parent.mkdir()
    left.write_text("half of it")
    store = await SqliteStore.open(tmp_path / "state.db", clock=SystemClock())
    async with running(store=store, data_dir=tmp_path):
        assert not left.parent.exists()


async def test_a_backup_that_fails_leaves_nothing_and_the_next_one_works(
    stored: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: Any) -> Any:
        raise OSError(28, "No space left on device")

    before = names(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(storeapi, "_measure", fail)
        assert "No space left" in (await refusal(stored, "/minik/v1/backup")).message
    assert names(tmp_path) == before
    assert (await ask(stored, "/minik/v1/backup")).status == 200
