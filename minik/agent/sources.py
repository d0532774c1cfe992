"""ConfigMaps, Secrets and service account tokens for the pods of this node: `volumes.manager`'s `Objects` and `Tokens`.

An object that a volume shows is watched by its name while some pod shows it (kubelet's watching manager), so a change reaches the
files at once and an idle node asks nothing. What only an environment reads is fetched once and not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from minik.agent.containers.base import RuntimeFailure
from minik.agent.env import Reference
from minik.agent.volumes.payload import TokenRef, VolumeError
from minik.aio import Tasks
from minik.api import meta
from minik.api.errors import NotFound, StatusError
from minik.api.meta import Key, ROObj
from minik.api.node_v1 import runtimeclass
from minik.api.times import parse_time
from minik.client.client import Client
from minik.client.informer import Informer
from minik.clock import Clock, Entropy

SYNC_SECONDS = 10.0
_RENEW_AT = 0.8
_RENEW_AFTER = timedelta(hours=24)


async def fetch(client: Client, namespace: str, reference: Reference) -> ROObj | None:
    """The object from the server, or None."""
    try:
        return await client.get(reference.resource, reference.name, namespace)
    except NotFound:
        return None


async def runtime_handler(client: Client, pod: ROObj) -> str:
    """What the pod's RuntimeClass calls its handler: a runtime that the engine knows by that name; "" without a class. RuntimeFailure
    when the class is gone."""
    name = pod["spec"].get("runtimeClassName")
    if not name:
        return ""
    try:
        handler: str = (await client.get(runtimeclass.RESOURCE, name))["handler"]
    except NotFound:
        raise RuntimeFailure(f'failed to get sandbox runtime: RuntimeClass "{name}" not found') from None
    return handler


@dataclass(slots=True, eq=False)
class _Watched:
    informer: Informer
    task: asyncio.Task[Any]
    users: set[str] = field(default_factory=set)


class WatchedObjects:
    """See `volumes.manager.Objects`."""

    def __init__(self, client: Client, *, clock: Clock, entropy: Entropy, on_change: Callable[[str], None]) -> None:
        """`on_change(pod uid)` for every pod that shows an object which changed."""
        self._client, self._clock, self._entropy, self._on_change = client, clock, entropy, on_change
        self._tasks = Tasks("objects")
        self._watched: dict[tuple[str, Reference], _Watched] = {}

    async def get(self, namespace: str, reference: Reference, *, pod_uid: str) -> ROObj | None:
        """The object or None. VolumeError when the server does not answer in time."""
        watched = self._watched.get((namespace, reference))
        if watched is None:
            watched = self._watched[namespace, reference] = self._watch(namespace, reference)
        watched.users.add(pod_uid)
        if not watched.informer.synced:
            try:
                async with asyncio.timeout(SYNC_SECONDS):
                    await watched.informer.wait_synced()
            except TimeoutError:
                raise VolumeError(f"failed to sync {reference.resource} cache: timed out waiting") from None
        return watched.informer.get(Key(namespace, reference.name))

    def _watch(self, namespace: str, reference: Reference) -> _Watched:
        informer = Informer(
            reference.resource,
            self._client.transport,
            self._client.registry,
            clock=self._clock,
            entropy=self._entropy,
            namespace=namespace,
            field_selector=f"metadata.name={reference.name}",
        )
        task = self._tasks.start(f"{reference.resource}/{namespace}/{reference.name}", informer.run())
        watched = _Watched(informer, task)

        def tell(*_: ROObj) -> None:
            if informer.synced:
                for uid in list(watched.users):
                    self._on_change(uid)

        informer.add_handler(added=tell, updated=tell, deleted=tell)
        return watched

    def release(self, pod_uid: str) -> None:
        """The pod shows nothing any more."""
        for key, watched in list(self._watched.items()):
            watched.users.discard(pod_uid)
            if not watched.users:
                watched.task.cancel()
                del self._watched[key]

    async def close(self) -> None:
        await self._tasks.close()


class PodTokens:
    """See `volumes.manager.Tokens`: TokenRequests, bound to the pod, renewed at four fifths of their life."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._tokens: dict[str, dict[tuple[str, int], tuple[str, datetime]]] = {}

    async def get(self, pod: ROObj, ref: TokenRef) -> tuple[str, datetime]:
        """(token, when to renew it). VolumeError when the server gives none."""
        own = self._tokens.setdefault(meta.uid(pod), {})
        known = own.get((ref.audience, ref.seconds))
        if known is not None and known[1] > self._clock.now():
            return known
        account = pod["spec"].get("serviceAccountName") or "default"
        path = self._client.kind("serviceaccounts").path(meta.namespace(pod), account, "token")
        try:
            answer = await self._client.transport.request("POST", path, body=token_request(pod, ref))
        except StatusError as error:
            raise VolumeError(f"failed to fetch token: {error.message}") from error
        now = self._clock.now()
        life = parse_time(answer["status"]["expirationTimestamp"]) - now
        made = answer["status"]["token"], now + min(life * _RENEW_AT, _RENEW_AFTER)
        own[ref.audience, ref.seconds] = made
        return made

    def release(self, pod_uid: str) -> None:
        self._tokens.pop(pod_uid, None)


def token_request(pod: ROObj, ref: TokenRef) -> dict[str, Any]:
    """The TokenRequest (authentication.k8s.io/v1) for a token bound to `pod`."""
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {"namespace": meta.namespace(pod)},
        "spec": {
            "audiences": [ref.audience] if ref.audience else [],
            "expirationSeconds": ref.seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta.name(pod), "uid": meta.uid(pod)},
        },
    }
