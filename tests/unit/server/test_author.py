"""Who wrote what: the text beside every write of the store."""

from __future__ import annotations

import pytest

from minik.api.meta import Key, Obj
from minik.client.client import Client
from minik.server.author import Author, author_of, manager_of_agent, parse_author
from minik.server.request import Request, RequestInfo, User
from tests.support.apiserver import Running

KUBECTL = "kubectl/v1.34.1 (linux/amd64) kubernetes/93248f9"


def request(agent: str = "", *, manager: str = "", user: str = "jane", sub: str = "") -> Request:
    query = {"fieldManager": [manager]} if manager else {}
    info = RequestInfo("patch", "/", subresource=sub)
    return Request("PATCH", "/", query, {"User-Agent": agent}, user=User(user), info=info)


@pytest.mark.parametrize(
    ("asked", "author"),
    [
        (request(KUBECTL), Author("jane", "kubectl", "patch")),
        (request(KUBECTL, manager="kubectl-edit"), Author("jane", "kubectl-edit", "patch")),
        (request(KUBECTL, sub="status"), Author("jane", "kubectl", "patch/status")),
        (request(""), Author("jane", "", "patch")),
        (request("a/b", user="ja\tne\n"), Author("jane", "a", "patch")),
        (request("a/b", manager="m\ty/x"), Author("jane", "my/x", "patch")),
    ],
)
def test_an_author_is_user_manager_and_verb(asked: Request, author: Author) -> None:
    assert parse_author(author_of(asked)) == author


def test_a_manager_of_a_user_agent_is_what_kube_apiserver_makes_of_it() -> None:
    assert (
        manager_of_agent("kube-controller-manager/v1.36 (linux) kubernetes/1/leader-election")
        == "kube-controller-manager"
    )
    assert manager_of_agent("x" * 200) == "x" * 128
    assert manager_of_agent("ä" * 100) == "ä" * 64
    assert manager_of_agent("a\u0007b") == "ab"


@pytest.mark.parametrize("text", ["", "somebody", "a\tb"])
def test_other_texts_are_told_as_far_as_they_go(text: str) -> None:
    assert parse_author(text).user == text.split("\t")[0]


def config(name: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_every_kind_of_write_has_its_author(run: Running) -> None:
    client = Client(run.local(User("jane", frozenset({"system:masters"}))), run.server.registry, manager="tests")
    made = await client.create("configmaps", config("c"))
    await client.patch("configmaps", "c", "default", {"data": {"a": "1"}})
    await client.update("configmaps", {**config("c"), "metadata": {**made["metadata"], "resourceVersion": ""}})
    await client.delete("configmaps", "c", "default")
    versions = await run.store.history("configmaps/default/c")
    assert [parse_author(v.author) for v in versions] == [
        Author("jane", "tests", verb) for verb in ("create", "patch", "update", "delete")
    ]


async def test_a_subresource_is_part_of_the_verb(run: Running) -> None:
    client = Client(run.local(), run.server.registry, manager="kubelet")
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await client.create("pods", pod)
    await client.bind(Key("default", "p"), "a")
    await client.patch_status("pods", "p", "default", {"status": {"message": "m"}})
    await client.evict(Key("default", "p"), grace_seconds=0)
    verbs = [parse_author(v.author).verb for v in await run.store.history("pods/default/p")]
    assert verbs == ["create", "create/binding", "patch/status", "create/eviction", "create/eviction"]


async def test_a_collection_is_deleted_by_its_verb(run: Running) -> None:
    client = Client(run.local(), run.server.registry, manager="tests")
    await client.create("configmaps", config("c"))
    await client.delete_collection("configmaps", "default")
    last = (await run.store.history("configmaps/default/c"))[-1]
    assert parse_author(last.author) == Author("kubernetes-admin", "tests", "deletecollection")
