"""A running server whose disk is full, and is not any more: refused writes, reads that go on, /readyz that tells, no restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import disks
from tests.support.process import Server, started, until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "disk", "16m") as directory:
        yield directory


def configmap(name: str, size: int) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "x" * size}}


@pytest.mark.root
def test_a_full_disk_under_a_server(small_disk: Path) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    server = Server(small_disk, "--no-agent")
    with started(server):
        assert server.request("POST", path, configmap("first", 1)).status == 201
        ballast = small_disk / "ballast"
        with pytest.raises(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        made = []
        for number in range(100):
            answer = server.request("POST", path, configmap(f"c{number}", 100_000))
            if answer.status != 201:
                break
            made.append(f"c{number}")
        assert answer.status == 500 and "the disk is full" in answer.obj["message"], answer.body
        listed = server.request("GET", path).obj["items"]
        assert [i["metadata"]["name"] for i in listed if i["metadata"]["name"].startswith(("c", "f"))] == [
            *sorted(made),
            "first",
        ]
        ballast.unlink()
        until(lambda: server.request("GET", "/readyz").status == 200, "/readyz")
        assert server.request("POST", path, configmap("last", 100_000)).status == 201
        server.restart()
        assert server.request("GET", f"{path}/last").status == 200
        for name in made:
            assert server.request("GET", f"{path}/{name}").status == 200


def test_readyz_tells_that_the_state_file_is_gone(tmp_path: Path) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    server = Server(tmp_path, "--no-agent")
    with started(server):
        state = server.data_dir / "state.db"
        state.rename(tmp_path / "away")

        def refused() -> bool:  # it is looked once a second
            answer = server.request("POST", path, {"metadata": {"generateName": "c-"}})
            return answer.status == 500 and "put it back" in answer.obj["message"]

        until(refused, "a write that is refused")
        answer = server.request("GET", "/readyz")
        assert answer.status == 500 and b"[-]storage failed" in answer.body and b"was deleted or moved" in answer.body
        assert server.request("GET", "/livez").status == 200
        assert server.request("GET", path).status == 200
        (tmp_path / "away").rename(state)
        until(lambda: server.request("GET", "/readyz").status == 200, "/readyz")
        assert server.request("POST", path, configmap("c", 1)).status == 201
