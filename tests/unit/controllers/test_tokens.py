"""Token Secrets and bootstrap tokens: filled, accepted, revoked, gone in time; what every namespace has is mended."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from minik.api import times
from minik.api.core_v1.secret import ACCOUNT_NAME, ACCOUNT_TOKEN, ACCOUNT_UID, BOOTSTRAP_TOKEN
from minik.api.errors import Unauthorized
from minik.api.meta import Obj, ROObj
from minik.clock import LoopClock
from minik.controllers import rootca, serviceaccount, tokencleaner, tokens
from tests.support.cluster import ControlPlane, control_plane, named


def text(secret: ROObj, key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()


def token_secret(name: str = "t", account: str = "builder", **annotations: str) -> Obj:
    return named(name, "default", annotations={ACCOUNT_NAME: account, **annotations}, type=ACCOUNT_TOKEN)


@asynccontextmanager
async def cluster() -> AsyncIterator[ControlPlane]:
    later: list[ControlPlane] = []
    controller = tokens.controller(
        "the CA", lambda account, secret: later[0].server.server.tokens.sign_legacy(account, secret)
    )
    async with control_plane(controller) as c:
        later.append(c)
        await c.create("serviceaccounts", named("builder", "default"))
        yield c


@pytest.mark.looptime
async def test_a_token_secret_is_filled_and_its_token_is_good_as_long_as_it_is_there() -> None:
    async with cluster() as c:
        await c.create("secrets", token_secret())
        await c.settle()
        secret = await c.get("secrets", "t", "default")
        account = await c.get("serviceaccounts", "builder", "default")
        assert secret is not None and account is not None
        assert (text(secret, "ca.crt"), text(secret, "namespace")) == ("the CA", "default")
        assert secret["metadata"]["annotations"][ACCOUNT_UID] == account["metadata"]["uid"]
        token = text(secret, "token")
        verify = c.server.server.tokens.verify
        assert verify(token).name == "system:serviceaccount:default:builder"
        await c.client.patch("secrets", "t", "default", {"data": {"ca.crt": None}})
        await c.settle()
        mended = await c.get("secrets", "t", "default")
        assert mended is not None and mended["data"] == secret["data"]
        await c.client.patch(
            "secrets", "t", "default", {"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "x"}}}
        )
        with pytest.raises(Unauthorized):
            verify(token)
        await c.client.patch("secrets", "t", "default", {"metadata": {"labels": None}})
        assert verify(token).uid == account["metadata"]["uid"]
        await c.client.patch("secrets", "t", "default", {"data": {"token": None}})
        await c.settle()
        with pytest.raises(Unauthorized):
            verify(token[:-2] + "AA")
        await c.client.delete("secrets", "t", "default")
        with pytest.raises(Unauthorized):
            verify(token)


@pytest.mark.looptime
async def test_it_goes_with_its_account_and_the_account_forgets_it() -> None:
    async with cluster() as c:
        await c.create("secrets", token_secret())
        await c.create("secrets", token_secret("stranger", account="nobody"))
        await c.create("secrets", token_secret("former", **{ACCOUNT_UID: "of another of that name"}))
        await c.create("secrets", named("plain", "default"))
        await c.client.patch("serviceaccounts", "builder", "default", {"secrets": [{"name": "t"}, {"name": "plain"}]})
        await c.settle()
        assert await c.names("secrets", "default") == ["plain", "t"]
        await c.client.delete("secrets", "plain", "default")
        await c.settle()
        account = await c.get("serviceaccounts", "builder", "default")
        assert account is not None and account["secrets"] == [{"name": "t"}, {"name": "plain"}]
        await c.client.delete("secrets", "t", "default")
        await c.settle()
        account = await c.get("serviceaccounts", "builder", "default")
        assert account is not None and account["secrets"] == [{"name": "plain"}]
        await c.create("secrets", token_secret())
        await c.client.delete("serviceaccounts", "builder", "default")
        await c.settle()
        assert await c.names("secrets", "default") == []


@pytest.mark.looptime
async def test_bootstrap_tokens_go_at_their_time() -> None:
    async with control_plane(tokencleaner.CONTROLLER, namespaces=("default", "kube-system")) as c:

        def secret(name: str, seconds: float, namespace: str = "kube-system") -> Obj:
            end = times.format_time(LoopClock().now() + timedelta(seconds=seconds))
            return named(name, namespace, type=BOOTSTRAP_TOKEN, stringData={"expiration": end})

        await c.create("secrets", secret("soon", 100))
        await c.create("secrets", secret("past", -5))
        await c.create("secrets", secret("elsewhere", -5, "default"))
        await c.create("secrets", named("never", "kube-system", type=BOOTSTRAP_TOKEN))
        await c.settle()
        assert await c.names("secrets") == ["elsewhere", "never", "soon"]
        await c.settle(90)
        assert "soon" in await c.names("secrets")
        await c.settle(10)
        assert await c.names("secrets") == ["elsewhere", "never"]


@pytest.mark.looptime
async def test_what_every_namespace_has_is_mended() -> None:
    async with control_plane(serviceaccount.CONTROLLER, rootca.controller("the CA")) as c:
        await c.create("namespaces", named("a"))
        await c.settle()
        assert await c.get("serviceaccounts", "default", "a") is not None
        await c.client.patch("configmaps", rootca.NAME, "a", {"data": {"ca.crt": "forged", "more": "x"}})
        await c.client.delete("serviceaccounts", "default", "a")
        await c.client.delete("configmaps", rootca.NAME, "default")
        await c.settle()
        assert await c.get("serviceaccounts", "default", "a") is not None
        for namespace in ("a", "default"):
            configmap = await c.get("configmaps", rootca.NAME, namespace)
            assert configmap is not None and configmap["data"] == {"ca.crt": "the CA"}
