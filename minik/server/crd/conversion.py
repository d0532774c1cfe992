"""Custom objects converted between versions by a webhook (`spec.conversion.strategy: Webhook`), many in one call.

`Converted` is the `View` of such a kind: what is not stored in the asked version is sent to the webhook once per state. Its answer may
change everything but the identity of an object: of the metadata, only labels and annotations.

Source: apiextensions-apiserver `pkg/apiserver/conversion/webhook_converter.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from minik.api.errors import InternalError
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.structural import CustomSchema
from minik.server.core import Core
from minik.server.crd.reading import as_stored, decoded, keep, made, remembered, shown_event
from minik.server.webhooks.call import CallFailed, post
from minik.storage.cache import CacheEvent, Entry

_SECONDS = 30
REVIEW_VERSIONS = ("v1", "v1beta1")


class Converted:
    """How one version of a kind is shown whose objects a webhook converts."""

    def __init__(self, core: Core, kind: Kind, custom: CustomSchema) -> None:
        self._core, self._kind, self._custom = core, kind, custom

    async def one(self, entry: Entry, written: ROObj | None = None) -> Entry:
        if written is not None:
            return keep(self._core.cache, self._kind, self._custom, entry, made(entry, written))
        return (await self.all([entry]))[0]

    async def all(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        shown = await self._shown(entries)
        return [shown[entry] for entry in entries]

    async def events(self, events: Iterable[CacheEvent]) -> Sequence[CacheEvent]:
        events = list(events)
        states = [event.entry for event in events] + [e.previous for e in events if e.previous is not None]
        shown = await self._shown(states)
        return [shown_event(event, shown.__getitem__) for event in events]

    async def _shown(self, entries: Iterable[Entry]) -> dict[Entry, Entry]:
        """Entry → the entry as it is shown."""
        cache, kind, custom = self._core.cache, self._kind, self._custom
        shown: dict[Entry, Entry] = {}
        strange: list[Entry] = []
        for entry in entries:
            known = remembered(custom, entry)
            if known is None and entry.obj.get("apiVersion") == kind.api_version:
                known = keep(cache, kind, custom, entry, as_stored(entry, kind, custom))
            if known is not None:
                shown[entry] = known
            elif entry not in shown:
                strange.append(entry)
        if strange:
            strange = list(dict.fromkeys(strange))
            assert custom.conversion is not None
            objects = await converted(self._core, kind, custom.conversion, [e.obj for e in strange], kind.version)
            for entry, obj in zip(strange, objects, strict=True):
                shown[entry] = keep(cache, kind, custom, entry, decoded(entry, obj, kind, custom))
        return shown


async def converted(
    core: Core, kind: Kind, conversion: Mapping[str, Any], objects: Sequence[ROObj], version: str
) -> list[Obj]:
    """The objects in `version`. Raises InternalError."""
    desired, uid = f"{kind.group}/{version}", core.entropy.uid()
    form = next((v for v in conversion["conversionReviewVersions"] if v in REVIEW_VERSIONS), "")
    what = f"conversion webhook for {objects[0].get('apiVersion')}, Kind={kind.kind}"
    if not form:
        raise InternalError("no supported conversion review versions")
    review = {
        "apiVersion": f"apiextensions.k8s.io/{form}", "kind": "ConversionReview",
        "request": {"uid": uid, "desiredAPIVersion": desired, "objects": list(objects)},
    }  # fmt: skip
    try:
        body = await post(core, core.webhooks.links, conversion["clientConfig"], orjson.dumps(review), _SECONDS)
        answers = _answers(body, form, uid)
    except CallFailed as error:
        raise InternalError(f"{what} failed: {error}") from error
    if len(answers) != len(objects):
        raise InternalError(f"{what} returned {len(answers)} objects, expected {len(objects)}")
    return [
        _checked(before, after, desired, f"{what} returned invalid converted object at index {number}: ")
        for number, (before, after) in enumerate(zip(objects, answers, strict=True))
    ]


def _answers(body: bytes, form: str, uid: str) -> list[Any]:
    """The converted objects of a ConversionReview. Raises CallFailed."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CallFailed(f"the answer is not JSON: {error}") from error
    response = review.get("response") if isinstance(review, dict) else None
    if form == "v1" and isinstance(review, dict):
        wanted, given = "apiextensions.k8s.io/v1", review.get("apiVersion") or ""
        if (given, review.get("kind")) != (wanted, "ConversionReview"):
            raise CallFailed(
                f"expected webhook response of {wanted}, Kind=ConversionReview, got {given}, Kind={review.get('kind') or ''}"
            )
    if not isinstance(response, dict):
        raise CallFailed("no response provided")
    if form == "v1" and response.get("uid") != uid:
        raise CallFailed(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        status = result.get("status") or ""
        raise CallFailed(result.get("message") or f"response.result.status was '{status}', not 'Success'")
    objects = response.get("convertedObjects") or []
    if not isinstance(objects, list):
        raise CallFailed("response.convertedObjects is no list")
    return objects


def _checked(before: ROObj, after: Any, desired: str, where: str) -> Obj:
    """The converted object with its own metadata again. Raises InternalError."""
    if not isinstance(after, dict) or not isinstance(after.get("metadata"), dict):
        raise InternalError(f"{where}it is no object with metadata")
    if after.get("apiVersion") != desired:
        raise InternalError(f"{where}invalid groupVersion (expected {desired}, received {after.get('apiVersion')})")
    if after.get("kind") != before.get("kind"):
        raise InternalError(f"{where}invalid kind (expected {before.get('kind')}, received {after.get('kind')})")
    mine, theirs = before["metadata"], after["metadata"]
    for field in ("name", "namespace", "uid"):
        if (mine.get(field) or "") != (theirs.get(field) or ""):
            told = "UID" if field == "uid" else field
            raise InternalError(
                f"{where}must have the same {told}: {mine.get(field) or ''} != {theirs.get(field) or ''}"
            )
    metadata = {name: value for name, value in mine.items() if name not in ("labels", "annotations")}
    for field in ("labels", "annotations"):
        value = theirs.get(field)
        if value is None:
            continue
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise InternalError(f"{where}metadata.{field} must map texts to texts")
        metadata[field] = value
    return {**after, "metadata": metadata}
