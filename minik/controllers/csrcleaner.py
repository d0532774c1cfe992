"""Certificate requests that nobody needs any more go: decided ones after an hour, undecided ones after a day, and expired ones.

kube-controller-manager's certificatesigningrequest-cleaner-controller, which looks at all of them every hour; here each is looked at
when its own time has come.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta

from minik.api import meta, times
from minik.api.certificates_v1 import certificatesigningrequest as csrs
from minik.api.errors import NotFound
from minik.api.meta import Key, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, requeue_after

DECIDED = timedelta(hours=1)
"""After its approval (whether it was issued or not), its denial or its failure."""
UNDECIDED = timedelta(hours=24)
"""After its creation."""


def plan_end(csr: ROObj, *, certificate_ends: datetime | None) -> datetime:
    """When a request has served its time."""
    ends = []
    decided = False
    for condition in csrs.conditions(csr):
        if condition.get("type") not in (csrs.APPROVED, csrs.DENIED, csrs.FAILED):
            continue
        decided = True
        ends.append(times.parse_time(condition.get("lastUpdateTime") or csr["metadata"]["creationTimestamp"]) + DECIDED)
    if not decided:
        ends.append(times.parse_time(csr["metadata"]["creationTimestamp"]) + UNDECIDED)
    if certificate_ends is not None:
        ends.append(certificate_ends)
    return min(ends)


async def reconcile(ctx: Context, key: Key) -> Result:
    csr = ctx.cache(csrs.RESOURCE).get(key)
    if csr is None or meta.is_deleting(csr):
        return DONE
    left = (plan_end(csr, certificate_ends=_certificate_ends(csr)) - ctx.clock.now()).total_seconds()
    if left > 0:
        return requeue_after(left)
    try:
        await ctx.client.delete(
            csrs.RESOURCE, key.name, uid=meta.uid(csr), resource_version=csr["metadata"]["resourceVersion"]
        )
    except NotFound:
        return DONE
    return DONE


def _certificate_ends(csr: ROObj) -> datetime | None:
    encoded = csrs.certificate(csr)
    if not encoded:
        return None
    from minik import pki  # on first use: cryptography takes 85 ms to import

    try:
        return pki.expires(base64.b64decode(encoded))
    except (ValueError, binascii.Error):
        return None


CONTROLLER = Controller(
    "certificatesigningrequest-cleaner",
    primary=csrs.RESOURCE,
    when=lambda old, new: old.get("status") != new.get("status"),
    reconcile=reconcile,
    workers=1,
    rbac=[can("delete", csrs.RESOURCE)],
)
