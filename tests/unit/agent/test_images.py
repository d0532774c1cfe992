"""Image references, what is to be done about an image, logins from pull secrets, and pulls that are shared and backed off."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from minik.agent.containers.base import ContainerRuntime, ImageFailure, ImageInfo, RuntimeUnavailable
from minik.agent.images import (
    FIRST_BACKOFF,
    LAST_BACKOFF,
    Failures,
    ImagePuller,
    credentials,
    docker_config,
    parse_reference,
    plan_pull,
)
from minik.api.errors import not_found
from minik.api.meta import ROObj
from minik.client.client import Client

DIGEST = "sha256:" + "ab" * 32


# --- references ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("user/app", "docker.io/user/app:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("registry:5000/a/b:c", "registry:5000/a/b:c"),
        ("quay.example/a", "quay.example/a:latest"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        ("a__b/c-d--e.f", "docker.io/a__b/c-d--e.f:latest"),
    ],
)
def test_reference(text: str, whole: str) -> None:
    assert str(parse_reference(text)) == whole


@pytest.mark.parametrize(
    "text", ["", "Nginx", "nginx:", "nginx:a b", "a//b", "/a", "nginx@sha256:12", "a...b", "nginx:" + "t" * 129, "x\n"]
)
def test_invalid_reference(text: str) -> None:
    with pytest.raises(ImageFailure) as caught:
        parse_reference(text)
    assert caught.value.reason == "InvalidImageName"


# --- the plan ------------------------------------------------------------------------------------------------------------

FAILED = Failures(1, last=100.0, message="no")


@pytest.mark.parametrize(
    ("policy", "present", "failures", "now", "what"),
    [
        ("IfNotPresent", True, Failures(), 0.0, "use"),
        ("IfNotPresent", True, FAILED, 100.0, "use"),
        ("IfNotPresent", False, Failures(), 0.0, "pull"),
        ("Always", True, Failures(), 0.0, "pull"),
        ("Always", True, FAILED, 109.9, "wait"),
        ("Always", True, FAILED, 110.0, "pull"),
        ("Never", True, Failures(), 0.0, "use"),
        ("Never", False, FAILED, 0.0, "never"),
    ],
)
def test_plan(policy: str, present: bool, failures: Failures, now: float, what: str) -> None:
    assert plan_pull(policy, present=present, failures=failures, now=now) == what


def test_backoff_doubles_up_to_five_minutes() -> None:
    waits = [Failures(count, last=0.0).retry_at for count in range(1, 8)]
    assert waits == [FIRST_BACKOFF, 20, 40, 80, 160, LAST_BACKOFF, LAST_BACKOFF]
    assert Failures(10_000, last=0.0).retry_at == LAST_BACKOFF


# --- logins --------------------------------------------------------------------------------------------------------------


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("server", "image", "fits"),
    [
        ("https://index.docker.io/v1/", "nginx", True),
        ("docker.io", "user/app", True),
        ("registry:5000", "registry:5000/a/b", True),
        ("https://registry:5000/v2/", "registry:5000/a/b", True),
        ("registry:5000/a", "registry:5000/a/b", True),
        ("registry:5000/a", "registry:5000/ab", False),
        ("registry", "registry:5000/a", False),
        ("quay.example", "nginx", False),
        ("*.quay.example", "eu.quay.example/a", True),
        ("*.quay.example", "a.b.quay.example/a", False),
        ("*.quay.example/team", "eu.quay.example/team/a", True),
        ("*.quay.example/team", "eu.quay.example/other/a", False),
    ],
)
def test_whether_a_login_fits(server: str, image: str, fits: bool) -> None:
    config = {"auths": {server: {"auth": auth("u", "p:q")}}}
    expected = [{"username": "u", "password": "p:q"}] if fits else []
    assert credentials(parse_reference(image), [config]) == expected


def test_most_specific_login_comes_first() -> None:
    config = {
        "auths": {
            "registry.example": {"username": "all", "password": "1"},
            "registry.example/a/b": {"username": "one", "password": "2"},
        }
    }
    found = credentials(parse_reference("registry.example/a/b"), [config])
    assert [login["username"] for login in found] == ["one", "all"]


@pytest.mark.parametrize(
    "config",
    [{}, {"auths": None}, {"auths": []}, {"auths": {"docker.io": "x"}}, {"auths": {"docker.io": {"auth": "%%"}}},
     {"auths": {"docker.io": {"auth": 1}}}, {"auths": {"docker.io": {"username": 1}}}, {"auths": {"docker.io": {}}}],
)  # fmt: skip
def test_what_a_user_writes_into_a_secret_breaks_nothing(config: Mapping[str, Any]) -> None:
    assert credentials(parse_reference("nginx"), [config]) == []


def secret(key: str, text: bytes) -> ROObj:
    return {"metadata": {"name": "s", "namespace": "default"}, "data": {key: base64.b64encode(text).decode()}}


def test_secrets() -> None:
    auths = {"docker.io": {"auth": auth("u", "p")}}
    assert docker_config(secret(".dockerconfigjson", json.dumps({"auths": auths}).encode())) == {"auths": auths}
    assert docker_config(secret(".dockercfg", json.dumps(auths).encode())) == {"auths": auths}
    assert docker_config(secret(".dockerconfigjson", b"[")) is None
    assert docker_config(secret(".dockerconfigjson", b"[]")) is None
    assert docker_config(secret("other", b"{}")) is None


# --- the puller ----------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


class Engine:
    """The images of an engine. Pulls wait for `gate`, then fail with `failure`, unless their login is the `login` wanted."""

    def __init__(self) -> None:
        self.there: dict[str, ImageInfo] = {}
        self.pulls: list[tuple[str, Mapping[str, str] | None]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        """Set by the first pull."""
        self.failure: Exception | None = None
        self.login = ""

    async def image(self, reference: str) -> ImageInfo | None:
        return self.there.get(reference)

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> ImageInfo:
        self.pulls.append((reference, auth))
        self.asked.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if self.login and (auth or {}).get("password") != self.login:
            raise ImageFailure("ErrImagePull", "unauthorized")
        image = self.there[reference] = ImageInfo(id=DIGEST, tags=(reference,), size=5)
        return image


class Secrets:
    def __init__(self, **configs: Mapping[str, Any]) -> None:
        self._configs = configs

    async def get(self, resource: str, name: str, namespace: str) -> ROObj:
        assert (resource, namespace) == ("secrets", "default")
        if name not in self._configs:
            raise not_found("secrets", "", name)
        return secret(".dockerconfigjson", json.dumps(self._configs[name]).encode())


class Node:
    def __init__(self, **secrets: Mapping[str, Any]) -> None:
        self.engine, self.clock = Engine(), Clock()
        runtime, client = cast("ContainerRuntime", self.engine), cast("Client", Secrets(**secrets))
        self.puller = ImagePuller(runtime, client, clock=self.clock)
        self.said: list[tuple[str, str, str]] = []

    async def ensure(self, image: str, policy: str = "", uid: str = "u1", secrets: tuple[str, ...] = ()) -> ImageInfo:
        spec = {"imagePullSecrets": [{"name": name} for name in secrets]}
        pod: ROObj = {"metadata": {"name": "p", "namespace": "default", "uid": uid}, "spec": spec}
        container = {"name": "c", "image": image, **({"imagePullPolicy": policy} if policy else {})}
        return await self.puller.ensure(pod, container, lambda *words: self.said.append(words))

    async def reason(self, image: str, **options: Any) -> tuple[str, str]:
        with pytest.raises(ImageFailure) as caught:
            await self.ensure(image, **options)
        return caught.value.reason, str(caught.value)


async def test_pulled_once_and_then_used() -> None:
    node = Node()
    await node.ensure("nginx:1")
    await node.ensure("nginx:1")
    assert node.engine.pulls == [("docker.io/library/nginx:1", None)]
    assert node.said == [
        ("Normal", "Pulling", 'Pulling image "nginx:1"'),
        ("Normal", "Pulled", 'Successfully pulled image "nginx:1" in 0s (0s including waiting). Image size: 5 bytes.'),
        ("Normal", "Pulled", 'Container image "nginx:1" already present on machine'),
    ]


async def test_image_known_only_by_its_short_name() -> None:
    node = Node()
    node.engine.there["local/app:1"] = ImageInfo(id=DIGEST)
    assert (await node.ensure("local/app:1", "Never")).id == DIGEST


async def test_image_by_id_is_never_asked_of_a_registry() -> None:
    node = Node()
    node.engine.there[DIGEST] = ImageInfo(id=DIGEST)
    assert (await node.ensure(DIGEST, "IfNotPresent")).id == DIGEST


async def test_policy_never() -> None:
    node = Node()
    message = 'Container image "nginx:1" is not present with pull policy of Never'
    assert await node.reason("nginx:1", policy="Never") == ("ErrImageNeverPull", message)
    assert node.engine.pulls == []


async def test_failure_then_backoff_then_another_try() -> None:
    node = Node()
    node.engine.failure = ImageFailure("ErrImagePull", "manifest unknown")
    assert await node.reason("nginx") == ("ErrImagePull", "manifest unknown")
    assert [words[1:] for words in node.said] == [
        ("Pulling", 'Pulling image "nginx"'),
        ("Failed", 'Failed to pull image "nginx": manifest unknown'),
        ("Failed", "Error: ErrImagePull"),
    ]
    backing_off = ("ImagePullBackOff", 'Back-off pulling image "nginx": ErrImagePull: manifest unknown')
    assert await node.reason("nginx") == backing_off
    assert await node.reason("nginx", uid="u2") == ("ErrImagePull", "manifest unknown")  # a pod of its own back-off
    node.clock.time += FIRST_BACKOFF
    assert (await node.reason("nginx"))[0] == "ErrImagePull"
    node.clock.time += FIRST_BACKOFF
    assert await node.reason("nginx") == backing_off
    node.clock.time += FIRST_BACKOFF
    node.engine.failure = None
    await node.ensure("nginx")
    node.engine.failure = ImageFailure("ErrImagePull", "again")
    assert await node.reason("nginx") == ("ErrImagePull", "again")  # success has ended the back-off


async def test_engine_away_is_no_failure_of_the_image() -> None:
    node = Node()
    node.engine.failure = RuntimeUnavailable("away")
    for _ in range(2):
        with pytest.raises(RuntimeUnavailable):
            await node.ensure("nginx")


async def test_pods_share_a_pull_and_giving_up_one_leaves_it_to_the_others() -> None:
    node = Node()
    node.engine.gate.clear()
    pulls = [asyncio.ensure_future(node.ensure("nginx", uid=f"u{n}")) for n in range(4)]
    await node.engine.asked.wait()
    pulls[0].cancel()
    await asyncio.wait(pulls[:1])
    node.engine.gate.set()
    assert {(await pull).id for pull in pulls[1:]} == {DIGEST}
    assert len(node.engine.pulls) == 1


async def test_the_time_of_a_pull_is_told_beside_that_of_waiting() -> None:
    node = Node()
    node.engine.gate.clear()
    first = asyncio.ensure_future(node.ensure("nginx"))
    await node.engine.asked.wait()
    node.clock.time += 1.0
    late = asyncio.ensure_future(node.ensure("nginx", uid="u2"))
    await asyncio.sleep(0)
    node.clock.time += 0.25
    node.engine.gate.set()
    await asyncio.gather(first, late)
    assert [message for _, reason, message in node.said if reason == "Pulled"] == [
        'Successfully pulled image "nginx" in 1.25s (1.25s including waiting). Image size: 5 bytes.',
        'Successfully pulled image "nginx" in 1.25s (250ms including waiting). Image size: 5 bytes.',
    ]


async def test_a_failed_pull_is_told_and_not_logged_as_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    node.engine.failure = ImageFailure("ErrImagePull", "manifest unknown")
    with caplog.at_level(logging.WARNING):
        await node.reason("nginx")
        await asyncio.sleep(0)
    assert caplog.records == []


async def test_logins_are_tried_in_turn() -> None:
    node = Node(
        one={"auths": {"registry.example": {"username": "u", "password": "old"}}},
        two={"auths": {"registry.example": {"username": "u", "password": "new"}}},
    )
    node.engine.login = "new"
    await node.ensure("registry.example/app:1", secrets=("gone", "one", "two"))
    assert [(login or {}).get("password") for _, login in node.engine.pulls] == ["old", "new"]


async def test_a_wrong_password_does_not_profit_from_a_right_one() -> None:
    node = Node(
        right={"auths": {"registry.example": {"username": "u", "password": "right"}}},
        wrong={"auths": {"registry.example": {"username": "u", "password": "wrong"}}},
    )
    node.engine.login = "right"
    node.engine.gate.clear()
    image = "registry.example/app:1"
    good = asyncio.ensure_future(node.ensure(image, secrets=("right",)))
    bad = asyncio.ensure_future(node.reason(image, uid="u2", secrets=("wrong",)))
    for _ in range(20):
        await asyncio.sleep(0)
    node.engine.gate.set()
    assert (await good).id == DIGEST
    assert await bad == ("ErrImagePull", "unauthorized")


async def test_what_was_remembered_goes_with_the_pod() -> None:
    node = Node()
    node.engine.failure = ImageFailure("ErrImagePull", "no")
    await node.reason("nginx")
    node.puller.forget("u1")
    assert (await node.reason("nginx"))[0] == "ErrImagePull"
