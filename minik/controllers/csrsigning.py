"""Signs the certificate requests that were approved, for the three signers that are the cluster's own.

kube-controller-manager's certificatesigningrequest-signing-controller. A request that its signer does not sign becomes `Failed`; for all
other signers' requests, their signers wait. The key is the process's: the composition root passes in what signs.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from minik.api import meta, times
from minik.api.certificates_v1 import certificatesigningrequest as csrs
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can
from minik.controllers.common.certificates import SIGNERS

LONGEST = timedelta(days=365)
"""--cluster-signing-duration."""

Sign = Callable[[bytes, Sequence[str], timedelta], bytes]
"""(CSR PEM, usages, lifetime) → certificate PEM; raises pki.BadCertificateRequest."""


def is_due(csr: ROObj) -> bool:
    """Whether it is approved, for one of our signers, and neither issued nor failed."""
    return (
        csrs.signer(csr) in SIGNERS
        and csrs.has(csr, csrs.APPROVED)
        and not csrs.certificate(csr)
        and not csrs.has(csr, csrs.DENIED)
        and not csrs.has(csr, csrs.FAILED)
        and not meta.is_deleting(csr)
    )


def lifetime(csr: ROObj) -> timedelta:
    """How long the certificate is to be valid: as asked, within bounds."""
    seconds = csr["spec"].get("expirationSeconds")
    return LONGEST if seconds is None else min(LONGEST, timedelta(seconds=max(seconds, csrs.SHORTEST)))


def plan_failure(csr: ROObj, why: str, *, now: datetime) -> Obj:
    """The status of a request that is not going to be signed."""
    moment = times.format_time(now)
    failed = {
        "type": csrs.FAILED, "status": "True", "reason": "SignerValidationFailure", "message": why,
        "lastUpdateTime": moment, "lastTransitionTime": moment,
    }  # fmt: skip
    return {**(csr.get("status") or {}), "conditions": [*csrs.conditions(csr), failed]}


def controller(sign: Sign) -> Controller:
    """The controller that signs with `sign`."""

    async def reconcile(ctx: Context, key: Key) -> Result:
        csr = ctx.cache(csrs.RESOURCE).get(key)
        if csr is None or not is_due(csr):
            return DONE
        status = _signed(csr, sign, now=ctx.clock.now())
        await ctx.client.update_status(csrs.RESOURCE, csr, status)
        return DONE

    return Controller(
        "certificatesigningrequest-signing",
        primary=csrs.RESOURCE,
        when=lambda _old, new: is_due(new),
        reconcile=reconcile,
        workers=1,
        rbac=[can("update", f"{csrs.RESOURCE}/status"), can("sign", f"signers.{csrs.GROUP}")],
    )


def _signed(csr: ROObj, sign: Sign, *, now: datetime) -> Obj:
    from minik import pki  # on first use: cryptography takes 85 ms to import

    pem, usages = csrs.request_pem(csr), csr["spec"].get("usages") or ()
    try:
        why = SIGNERS[csrs.signer(csr)](pki.request_facts(pem), usages)
        if why:
            return plan_failure(csr, why, now=now)
        issued = sign(pem, usages, lifetime(csr))
    except pki.BadCertificateRequest as error:
        return plan_failure(csr, str(error), now=now)
    return {**(csr.get("status") or {}), "certificate": base64.b64encode(issued).decode()}
