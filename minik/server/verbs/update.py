"""PUT of an object or of its status."""

from __future__ import annotations

from minik.api import meta
from minik.api.meta import Obj, ROObj
from minik.server import resources
from minik.server.core import Core
from minik.server.decode import decode_kind
from minik.server.options import field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.verbs.common import answer, attributes, check_name, kind_of

_CREATES = frozenset({"endpoints", "events", "events.events.k8s.io", "leases.coordination.k8s.io"})
"""Kinds whose PUT creates what is absent (AllowCreateOnUpdate)."""


async def update(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    draft = decode_kind(request, kind, validation=field_validation(request, options="UpdateOptions"))
    check_name(draft, request)
    dry_run = is_dry_run(request, options="UpdateOptions")
    unconditional = not draft["metadata"].get("resourceVersion")

    def change(_old: ROObj) -> Obj:
        # an unconditional update may be tried again, and then must not see what the first try filled in
        return meta.draft(draft) if unconditional else draft

    written = await resources.update(
        core,
        attributes(request, dry_run=dry_run),
        change,
        put=True,
        create_if_absent=None if request.info.subresource or kind.resource not in _CREATES else lambda: _new(draft),
    )
    return answer(written)


def _new(draft: Obj) -> Obj:
    """A copy to be created: if somebody else is first, the update goes on without what creation fills in."""
    made = meta.draft(draft)
    for name in ("resourceVersion", "managedFields"):
        made["metadata"].pop(name, None)
    return made
