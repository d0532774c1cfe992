"""`Webhooks`: has admission policies and webhooks heard before something is written, deleted or connected; policies come first.

`server/drafts.py` calls `mutate` and `validate` for what is written, `resources.py` `remove` for what goes; subresources that are no writes
of an object of their own (exec, attach, port-forward, proxy, binding, eviction) call `hear`. Mutating hooks are asked one after the other,
in the order of their configurations' names; validating ones together. What a hook fails to say counts as its `failurePolicy` has it.

A hook that wants to hear in another version gets the objects in that one, by their kind's conversion webhook if it has one (of policies,
only validating ones do); what cannot be converted is refused. A patch is taken for whole objects and for their status; for other
subresources it is refused.

Source: apiserver `pkg/admission/plugin/webhook/{mutating,validating}/dispatcher.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from minik.api import errors
from minik.api.errors import InternalError, StatusError
from minik.api.meta import Obj, ROObj
from minik.server.core import Attributes, Core
from minik.server.options import DeleteOptions
from minik.server.patch.json import apply_json_patch
from minik.server.policies.bound import Bound, Policies
from minik.server.policies.change import change
from minik.server.policies.judge import judge
from minik.server.tunnel import Links
from minik.server.webhooks.call import CallFailed, call
from minik.server.webhooks.hooks import Hook, Hooks
from minik.server.webhooks.matching import Subject, Undecided, meets, selects, wanted_version
from minik.server.webhooks.review import Answer, denial, request_of
from minik.storage.cache import Cache

log = logging.getLogger("minik.server.webhooks")

_OPERATIONS = {
    "create": "CREATE",
    "update": "UPDATE",
    "patch": "UPDATE",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_PATCHABLE = ("", "status")
_META = "meta.k8s.io/v1"


class Webhooks:
    """`core` is given with each call: it holds this."""

    def __init__(self, cache: Cache, links: Links) -> None:
        self.links = links
        self._hooks = Hooks(cache)
        self._policies = Policies(cache)

    @property
    def mutating(self) -> bool:
        """Whether there are any that may change what is written."""
        return bool(self._hooks.mutating or self._policies.mutating)

    @property
    def validating(self) -> bool:
        return bool(self._hooks.validating or self._policies.validating)

    async def mutate(self, core: Core, attributes: Attributes, draft: Obj, old: ROObj | None) -> Obj:
        """The draft as the hooks want it; the draft itself if none of them changed it. Raises what refuses it."""
        case = _Case(core, self.links, attributes, _subject(core, attributes), _seen(attributes, old))
        obj: ROObj = _seen(attributes, draft) or draft
        first = obj
        if self._policies.mutating and case.subject.subresource in _PATCHABLE:
            obj = case.rewritten(self._policies.mutating, obj)
        changed_last = -1
        for number, hook in enumerate(self._hooks.mutating):
            changed = await case.changed(hook, obj)
            if changed is not obj:
                obj, changed_last = changed, number
        for number, hook in enumerate(self._hooks.mutating):
            if hook.is_reinvoked and number < changed_last:
                obj = await case.changed(hook, obj)
        again = tuple(each for each in self._policies.mutating if each.is_reinvoked) if changed_last >= 0 else ()
        if again and case.subject.subresource in _PATCHABLE:
            obj = case.rewritten(again, obj)
        return draft if obj is first else dict(obj)

    async def validate(self, core: Core, attributes: Attributes, draft: ROObj, old: ROObj | None) -> None:
        """Raises what refuses it."""
        case = _Case(core, self.links, attributes, _subject(core, attributes), _seen(attributes, old))
        await case.judge(self._policies.validating, self._hooks.validating, _seen(attributes, draft))

    async def remove(self, core: Core, attributes: Attributes, old: ROObj, options: DeleteOptions) -> None:
        """Raises what keeps `old` from being deleted."""
        said: Obj = {"kind": "DeleteOptions", "apiVersion": _META}
        if options.grace_period_seconds is not None:
            said["gracePeriodSeconds"] = options.grace_period_seconds
        if options.propagation_policy:
            said["propagationPolicy"] = options.propagation_policy
        case = _Case(core, self.links, attributes, _subject(core, attributes, said), old)
        for hook in self._hooks.mutating:
            await case.ask(hook, None)
        await case.judge(self._policies.validating, self._hooks.validating, None)

    async def hear(self, core: Core, attributes: Attributes, operation: str, obj: ROObj) -> None:
        """Of something that is not kept as an object: a connection (CONNECT), a binding, an eviction (CREATE); `obj` is what was sent for
        it. Raises what refuses it."""
        if not self.mutating and not self.validating:
            return
        options = {"kind": "CreateOptions", "apiVersion": _META} if operation == "CREATE" else {}
        subject = replace(
            _subject(core, attributes, options), operation=operation, kind=obj["kind"], api_version=obj["apiVersion"]
        )
        case = _Case(core, self.links, attributes, subject, None)
        for hook in self._hooks.mutating:
            await case.changed(hook, obj)
        await case.judge(self._policies.validating, self._hooks.validating, obj)


@dataclass(frozen=True, slots=True)
class _Case:
    """One write that hooks are asked about. `old`: as they see it."""

    core: Core
    links: Links
    attributes: Attributes
    subject: Subject
    old: ROObj | None
    _known: dict[tuple[str, int], tuple[ROObj, ROObj]] = field(default_factory=dict)
    """(version, id of an object) → (that object, it in that version)."""

    async def in_version(self, version: str, obj: ROObj) -> ROObj:
        """An object, of any version of the kind, in the one that a hook wants. Raises InternalError if it cannot be converted."""
        subject, kind = self.subject, self.attributes.kind
        group, _, given = obj["apiVersion"].rpartition("/")
        if version == given or group != subject.group:
            return obj
        if kind.custom is None or kind.custom.conversion is None:
            return {**obj, "apiVersion": f"{group}/{version}"}
        from minik.server.crd.conversion import converted

        known = self._known.get((version, id(obj)))
        if known is None:
            [found] = await converted(self.core, kind, kind.custom.conversion, [obj], version)
            known = self._known[version, id(obj)] = obj, found
        return known[1]

    async def request(self, version: str, uid: str, obj: ROObj | None) -> Obj:
        """`request` of the review for a hook that wants to hear in `version`."""
        if version == self.subject.version:
            return request_of(self.subject, version, uid, obj, self.old)
        obj, old = [each and await self.in_version(version, each) for each in (obj, self.old)]
        return request_of(self.subject, version, uid, obj, old)

    def rewritten(self, policies: tuple[Bound, ...], obj: ROObj) -> ROObj:
        """The object as mutating policies want it; the very same if they change nothing."""

        def request(version: str, current: ROObj) -> Obj:
            return request_of(subject, version, "", current, self.old)

        def namespace() -> ROObj | None:
            return _namespace(self.core, subject, obj, self.old)

        subject, kind = self.subject, self.attributes.kind
        if kind.custom is not None and kind.custom.conversion is not None:
            subject = replace(subject, other_versions=())
        return change(self.core, kind, policies, subject, request, namespace, obj, self.old)

    async def judge(self, policies: tuple[Bound, ...], hooks: Sequence[Hook], obj: ROObj | None) -> None:
        """Ask validating policies, then validating hooks, these all at once; the first no in their order is raised."""
        if policies:

            def namespace() -> ROObj | None:
                return _namespace(self.core, self.subject, obj, self.old)

            asked: list[tuple[Bound, Obj]] = []
            requests: dict[str, Obj] = {}
            for bound in policies:
                version = bound.version(self.subject, namespace, obj, self.old)
                if version is None:
                    continue
                if version not in requests:
                    requests[version] = await self.request(version, "", obj)
                asked.append((bound, requests[version]))
            judge(self.core, self.attributes, asked, self.subject, namespace)
        answers = (self.ask(hook, obj) for hook in hooks)
        for said in await asyncio.gather(*answers, return_exceptions=True):
            if isinstance(said, BaseException):
                raise said

    async def changed(self, hook: Hook, obj: ROObj) -> ROObj:
        """The object as a mutating hook wants it; the very same if it changes nothing."""
        answer = await self.ask(hook, obj)
        if answer is None or answer.patch is None:
            return obj
        subject = self.subject
        if subject.operation == "CONNECT" or subject.subresource not in _PATCHABLE:
            self._fail(hook, f"patches of {subject.resource}/{subject.subresource} are not supported")
            return obj
        shown = await self.in_version(wanted_version(hook, subject) or subject.version, obj)
        try:
            patched = apply_json_patch(shown, answer.patch)
        except StatusError as error:
            self._fail(hook, error.message)
            return obj
        patched["apiVersion"] = shown["apiVersion"]
        return obj if patched == shown else await self.in_version(subject.version, patched)

    async def ask(self, hook: Hook, obj: ROObj | None) -> Answer | None:
        """The hook's consent; None if it does not care, or if its failing is to be ignored. Raises its refusal."""
        subject, core = self.subject, self.core
        version = wanted_version(hook, subject)
        if version is None:
            return None
        namespace = _namespace(core, subject, obj, self.old)
        if not selects(hook.namespaces, hook.objects, namespace, (obj, self.old)):
            return None
        request = await self.request(version, core.entropy.uid(), obj)
        try:
            if not meets(hook, request):
                return None
            answer = await call(core, self.links, hook, request)
        except Undecided as error:
            if not hook.is_ignored:
                raise errors.forbidden(subject.resource, subject.group, subject.name, str(error)) from error
            return None
        except CallFailed as error:
            self._fail(hook, str(error))
            return None
        self.attributes.warnings += answer.warnings
        if not answer.allowed:
            raise denial(hook, answer.status)
        return answer

    def _fail(self, hook: Hook, why: str) -> None:
        """Raises InternalError, unless the hook's failing is to be ignored."""
        if not hook.is_ignored:
            raise InternalError(f'Internal error occurred: failed calling webhook "{hook.name}": {why}')
        log.warning("an admission webhook failed and was passed over", extra={"webhook": hook.name, "error": why})


def _seen(attributes: Attributes, obj: ROObj | None) -> ROObj | None:
    """An object as hooks see it: for `scale`, its Scale."""
    return attributes.shown.of(obj) if attributes.shown is not None and obj is not None else obj


def _namespace(core: Core, subject: Subject, obj: ROObj | None, old: ROObj | None) -> ROObj | None:
    """The Namespace whose labels count: that of the object, or the object itself; None for what is in none."""
    if subject.is_namespace:
        return obj if obj is not None else old
    if not subject.is_namespaced:
        return None
    entry = core.cache.get(f"namespaces//{subject.namespace}")
    return entry.obj if entry is not None else {"metadata": {}}


def _subject(core: Core, attributes: Attributes, options: Obj | None = None) -> Subject:
    kind, shown, verb = attributes.kind, attributes.shown, attributes.verb
    is_namespace = kind.resource == "namespaces"
    return Subject(
        operation=_OPERATIONS.get(verb, "CONNECT"),
        group=kind.group,
        version=kind.version,
        resource=kind.plural,
        subresource=shown.subresource if shown is not None else attributes.subresource,
        kind=shown.kind if shown is not None else kind.kind,
        api_version=shown.api_version if shown is not None else kind.api_version,
        is_namespaced=kind.namespaced,
        is_namespace=is_namespace,
        namespace=attributes.name if is_namespace else attributes.namespace,
        name=attributes.name,
        user=attributes.user,
        options={"kind": _OPTIONS[verb], "apiVersion": _META} if options is None else options,
        dry_run=attributes.dry_run,
        other_versions=_other_versions(core, attributes),
    )


def _other_versions(core: Core, attributes: Attributes) -> tuple[str, ...]:
    kind = attributes.kind
    if kind.custom is None:
        return ()
    return tuple(k.version for k in core.registry if k.resource == kind.resource and k.version != kind.version)
