"""certificatesigningrequests/approval: changes the conditions of a request, and its metadata; never what was asked for nor the certificate.

Who may approve is `server/admission/certificates.py`'s to say. `kubectl certificate approve` and `deny` come here.
"""

from __future__ import annotations

from minik.api import errors
from minik.api.certificates_v1 import certificatesigningrequest as csrs
from minik.api.meta import Obj, ROObj
from minik.server import resources
from minik.server.core import Core
from minik.server.decode import decode_kind, patched_object
from minik.server.options import field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.verbs.common import answer, attributes, check_name, kind_of
from minik.server.verbs.get import get
from minik.server.verbs.patch import parse_patch


async def update(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    draft = decode_kind(request, kind, validation=field_validation(request, options="UpdateOptions"))
    check_name(draft, request)
    return await _write(core, request, lambda old: _merged(old, draft))


async def patch(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    validation = field_validation(request, options="PatchOptions")
    change = parse_patch(request, kind)

    def changed(old: ROObj) -> Obj:
        draft = patched_object(request, change(old), kind, validation)
        check_name(draft, request)
        return _merged(old, draft)

    return await _write(core, request, changed)


async def _write(core: Core, request: Request, change: resources.Change) -> Response:
    dry_run = is_dry_run(request, options="UpdateOptions")
    return answer(await resources.update(core, attributes(request, dry_run=dry_run), change))


HANDLERS = {"get": get, "update": update, "patch": patch}


def _merged(old: ROObj, draft: Obj) -> Obj:
    """`old` with the draft's metadata and status. Raises Invalid."""
    merged = {**old, "metadata": dict(draft["metadata"]), "status": draft.get("status") or {}}
    found = csrs.validate_change(merged, old, approves=True)
    if found:
        kind = csrs.KIND
        raise errors.invalid_object(group=kind.group, kind=kind.kind, name=old["metadata"]["name"], errors=found)
    return merged
