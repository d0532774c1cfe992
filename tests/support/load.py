"""Clients and watchers that load a server through HTTPS and write down everything: what they asked, what they were told, in which order.

Objects: ConfigMaps in two namespaces (durable), Events and Leases of nodes (not durable), as `lanes.py` makes them. Used by
`torture.py`, which starts and kills the server; judged by `linearizability.py` and `watchlog.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.support.lanes import (
    LANES,
    PLACES,
    PREFIX,
    MixedError,
    Target,
    key_of,
    lane,
    listed,
    read,
    shade_of,
    whole,
)
from tests.support.linearizability import Glimpse, Operation, Outcome
from tests.support.watchlog import Listing, Scope, Seen, Session, Transcript, Version
from tests.support.wire import CutError, NotSentError, Wire

_PAUSE = 0.05
"""Seconds until the next try while there is no server."""


@dataclass
class Record:
    """Everything that was seen. `life`: how many deaths of the server came before now; `deaths`: where they stand in the order."""

    operations: list[Operation] = field(default_factory=list)
    transcripts: list[Transcript] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    exact: list[Listing] = field(default_factory=list)
    deaths: list[int] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)
    """Answers that are neither success nor one of the refusals that the clients provoke."""
    refused: Counter[str] = field(default_factory=Counter)
    cut_alive: int = 0
    """Connections that ended although nobody had killed the server."""
    alive: bool = False
    ending: bool = False
    """Clients finish what they are at, and no more."""
    answered: int = 0
    known: dict[str, Version] = field(default_factory=dict)
    """What clients last saw of a key, for the preconditions of their next writes."""
    lives: dict[int, int] = field(default_factory=dict)
    """Of each operation, by identity, the life it was called in."""
    _positions: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def life(self) -> int:
        return len(self.deaths)

    def position(self) -> int:
        return next(self._positions)

    def died(self) -> None:
        self.deaths.append(self.position())

    def finish(self) -> None:
        """Give each operation the end that its life's death sets it."""
        end = self.position()
        for op in self.operations:
            life = self.lives[id(op)]
            bound = self.deaths[life] if life < len(self.deaths) else end
            op.end = bound if op.end < 0 else min(op.end, bound)

    def glimpses(self) -> list[Glimpse]:
        """Every revision that somebody was told."""
        found = [
            Glimpse(op.revision, op.end, op.start if op.verb != "get" else -1)
            for op in self.operations
            if op.outcome == "done" and op.revision
        ]
        found += [Glimpse(listing.revision, listing.position) for listing in self.listings]
        found += [Glimpse(e.version.revision, e.position) for each in self.transcripts for e in each.events]
        return found


class Client:
    """One client: a request after the other, chosen by its own generator, until it is told to stop."""

    def __init__(self, name: str, record: Record, wire: Wire, *, seed: str, names: int, durable: bool) -> None:
        self.name = name
        self._record = record
        self._wire = wire
        self._rng = random.Random(seed)
        self._names = names
        self._places = [place for place in PLACES if place[0].durable == durable]
        self._numbers = itertools.count()

    async def run(self) -> None:
        try:
            while not self._record.ending:
                try:
                    await self._one()
                except NotSentError:
                    await asyncio.sleep(_PAUSE)
        finally:
            self._wire.close()

    def _token(self) -> str:
        return f"{self.name}-{next(self._numbers)}"

    async def _one(self) -> None:
        rng = self._rng
        target, namespace = rng.choice(self._places)
        name = f"{PREFIX}{rng.randrange(self._names)}"
        key = f"{target.resource}/{namespace}/{name}"
        verbs = (self._create, self._put, self._patch, self._delete, self._get, self._list)
        await rng.choices(verbs, (14, 26, 28, 9, 18, 5))[0](target, namespace, name, key)

    async def _create(self, target: Target, namespace: str, name: str, key: str) -> None:
        op, body = self._whole(Operation(key, "create", -1), target, name)
        await self._write(op, target, "POST", target.path(namespace), body)

    async def _put(self, target: Target, namespace: str, name: str, key: str) -> None:
        op, body = self._whole(Operation(key, "put", -1, creates=target.creates), target, name)
        known = self._record.known.get(key)
        if known is not None and (not target.unconditional or self._rng.random() < 0.8):
            op.if_revision = known.revision
            body["metadata"]["resourceVersion"] = str(known.revision)
        await self._write(op, target, "PUT", target.path(namespace, name), body)

    def _whole(self, op: Operation, target: Target, name: str) -> tuple[Operation, dict[str, Any]]:
        token = self._token()
        size = self._rng.randint(1, 30)
        op.sets = (token,) * len(LANES)
        return op, whole(target, name, token, {k: v for each in LANES for k, v in lane(each, token, size).items()})

    async def _patch(self, target: Target, namespace: str, name: str, key: str) -> None:
        rng = self._rng
        chosen = rng.randrange(len(LANES))
        token = self._token()
        fields = lane(LANES[chosen], token, rng.randint(1, 30))
        labels = {"shade": shade_of(token)} if not chosen else {}
        op = Operation(key, "patch", -1, sets=tuple(token if i == chosen else None for i in range(len(LANES))))
        known = self._record.known.get(key)
        type_ = rng.choice(("merge", "json", "strategic"))
        bound = known is not None and rng.random() < 0.4
        if type_ == "json":
            at = "/data" if target.carrier == "data" else "/metadata/annotations"
            body: Any = [{"op": "add", "path": f"{at}/{k}", "value": v} for k, v in fields.items()]
            body += [{"op": "replace", "path": "/metadata/labels/shade", "value": v} for v in labels.values()]
            if bound and known is not None:
                tested = rng.randrange(len(LANES))
                op.if_content = tuple(known.content[i] if i == tested else None for i in range(len(LANES)))
                test = {"op": "test", "path": f"{at}/{LANES[tested]}", "value": known.content[tested]}
                body.insert(rng.randint(0, 1), test)  # also behind the first change: a failed patch must leave nothing
                if tested == chosen:
                    body.insert(0, body.pop(body.index(test)))
        else:
            metadata: dict[str, Any] = {"labels": labels} if labels else {}
            body = {"metadata": metadata}
            if bound and known is not None:
                op.if_revision = known.revision
                metadata["resourceVersion"] = str(known.revision)
            (body if target.carrier == "data" else metadata)[target.carrier] = fields
        content_type = f"application/{'strategic-merge' if type_ == 'strategic' else type_}-patch+json"
        await self._write(op, target, "PATCH", target.path(namespace, name), body, content_type)

    async def _delete(self, target: Target, namespace: str, name: str, key: str) -> None:
        op = Operation(key, "delete", -1)
        known = self._record.known.get(key)
        body: dict[str, Any] | None = None
        how = self._rng.random()
        if known is not None and how < 0.7:
            body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {}}
            if how < 0.5:
                op.if_revision = known.revision
                body["preconditions"]["resourceVersion"] = str(known.revision)
            if how > 0.3:
                op.if_uid = known.uid
                body["preconditions"]["uid"] = known.uid
        await self._write(op, target, "DELETE", target.path(namespace, name), body)

    async def _get(self, target: Target, namespace: str, name: str, key: str) -> None:
        await self._write(Operation(key, "get", -1), target, "GET", target.path(namespace, name), None)

    async def _write(
        self, op: Operation, target: Target, method: str, path: str, body: Any, content_type: str = "application/json"
    ) -> None:
        """Send it and record what came of it. Raises NotSentError, and then there is no record."""
        record = self._record
        op.who, op.start, life = self.name, record.position(), record.life
        data = orjson.dumps(body) if body is not None else None
        try:
            status, answer = await self._wire.request(method, path, data, content_type)
        except NotSentError:
            raise
        except CutError:
            record.cut_alive += record.alive and life == record.life
            self._keep(op, life)
            return
        op.end = record.position()
        obj = orjson.loads(answer) if answer else {}
        op.outcome = judge(op, status, obj)
        if op.outcome == "refused":
            record.refused[f"{method} {target.resource} {status} {obj.get('reason')}"] += 1
        elif op.outcome == "unknown":
            record.odd[f"{method} {target.resource} {status} {obj.get('reason')}: {obj.get('message')}"] += 1
            op.end = -1
        elif op.outcome == "done":
            self._take(op, target, obj)
        record.answered += 1
        self._keep(op, life)

    def _keep(self, op: Operation, life: int) -> None:
        self._record.operations.append(op)
        self._record.lives[id(op)] = life

    def _take(self, op: Operation, target: Target, obj: Any) -> None:
        if obj.get("kind") == "Status":
            op.uid = obj["details"]["uid"]
            return
        try:
            version = read(target, obj)
        except MixedError as error:
            self._record.mixed.append(f"{op}: {error}")
            return
        op.uid = version.uid
        if op.verb == "delete":
            return
        op.revision, op.content = version.revision, version.content
        self._record.known[op.key] = version

    async def _list(self, target: Target, namespace: str, _name: str, _key: str) -> None:
        known = self._record.known
        seen = [version.revision for key, version in known.items() if key.startswith(f"{target.resource}/{namespace}/")]
        past = target.durable and seen and self._rng.random() < 0.3
        await self.list(target, namespace, exact=self._rng.choice(seen) if past else 0)

    async def list(self, target: Target, namespace: str, *, exact: int = 0) -> None:
        """A list, of now or exactly as of a revision that was seen before; the present one counts as a read of each key."""
        record = self._record
        query = f"?resourceVersion={exact}&resourceVersionMatch=Exact" if exact else ""
        start, life = record.position(), record.life
        try:
            status, answer = await self._wire.request("GET", target.path(namespace) + query)
        except CutError:
            record.cut_alive += record.alive and life == record.life
            return
        end = record.position()
        if status != 200:
            record.odd[f"LIST {target.resource} {status}{' of a past revision' * bool(exact)}"] += 1
            return
        record.answered += 1
        try:
            listing = listed(target, namespace, answer, life, end)
        except MixedError as error:
            record.mixed.append(str(error))
            return
        if exact:
            record.exact.append(listing)
            return
        record.listings.append(listing)
        for number in range(self._names):
            key = f"{target.resource}/{namespace}/{PREFIX}{number}"
            version = listing.items.get(key)
            op = Operation(key, "get", start, end, "absent", who=f"{self.name} (list)")
            if version is not None:
                op.outcome, op.revision, op.uid, op.content = "done", version.revision, version.uid, version.content
            self._keep(op, life)


def judge(op: Operation, status: int, obj: Mapping[str, Any]) -> Outcome:
    """What an answer says of an operation."""
    reason = obj.get("reason")
    if status in (200, 201):
        return "done"
    if status == 404 and op.verb != "create" and (obj.get("details") or {}).get("name"):
        return "absent"
    if status == 409 and op.verb == "create" and reason == "AlreadyExists":
        return "exists"
    if status == 409 and op.verb != "create" and (op.if_revision or op.if_uid):
        return "conflict"
    if status == 422 and op.if_content:
        return "untrue"
    return "refused" if status < 500 else "unknown"


class Watcher:
    """Follows a scope: lists once, then watches from the last revision it saw, again and again; lists anew only after a 410."""

    def __init__(
        self, name: str, target: Target, record: Record, wire: Wire, *, namespace: str = "", shade: str = ""
    ) -> None:
        self.transcript = Transcript(name, Scope(target.resource, namespace, shade))
        self.revision = 0
        self._target, self._record, self._wire = target, record, wire
        self._query = f"labelSelector=shade%3D{shade}&" if shade else ""
        self._initial: Mapping[str, Version] | None = None
        record.transcripts.append(self.transcript)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    if not self.revision:
                        await self._list()
                    else:
                        await self._watch()
                except NotSentError:
                    await asyncio.sleep(_PAUSE)
                except CutError:
                    pass
        finally:
            self._wire.close()

    async def follow_from(self, revision: int, upto: int) -> None:
        """Watch from a past revision until everything up to `upto` was seen, or the stream ends, or the revision is too old."""
        self.revision = revision
        try:
            while self.revision < upto and not self.transcript.expired:
                await self._watch(upto)
        except (NotSentError, CutError):
            pass
        finally:
            self._wire.close()

    async def _list(self) -> None:
        path = self._target.path(self.transcript.scope.namespace)
        life = self._record.life
        status, answer = await self._wire.request("GET", f"{path}?{self._query}")
        if status != 200:
            self._record.odd[f"LIST {self._target.resource} {status} by a watcher"] += 1
            return
        listing = listed(self._target, self.transcript.scope.namespace, answer, life, self._record.position())
        self.revision, self._initial = listing.revision, listing.items

    async def _watch(self, upto: int = 0) -> None:
        record, transcript = self._record, self.transcript
        path = f"{self._target.path(transcript.scope.namespace)}?{self._query}watch=1&resourceVersion={self.revision}"
        session = Session(record.life, self.revision, self._initial)
        stream = self._wire.lines(path)
        try:
            status = await anext(stream)
            if status == b"200":  # else it is no session: no stream
                self._initial = None
                transcript.sessions.append(session)
            async for line in stream:
                if not line.strip():
                    continue
                if not self._event(orjson.loads(line), session) or (upto and self.revision >= upto):
                    return
        finally:
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    def _event(self, event: Mapping[str, Any], session: Session) -> bool:
        """Take one over. False if the stream is over and the answer was no event."""
        record = self._record
        obj = event.get("object", event)
        if obj.get("kind") == "Status":
            if obj["code"] == 410:
                self.transcript.expired += 1
                self.revision = 0
            else:
                record.odd[f"WATCH {self._target.resource} {obj['code']}: {obj.get('message')}"] += 1
            return False
        if obj["metadata"]["name"].startswith(PREFIX):
            try:
                version = read(self._target, obj)
            except MixedError as error:
                record.mixed.append(f"{self.transcript.name}: {error}")
                return True
            seen = Seen(event["type"], key_of(self._target, obj["metadata"]), version, record.position())
            session.events.append(seen)
        self.revision = int(obj["metadata"]["resourceVersion"])
        return True
