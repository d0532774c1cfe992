"""CertificateSigningRequests: who asks is who is authenticated; approving and signing take the right to, per signer; nobody signs
themselves into a group that may everything.

Source: kubernetes `plugin/pkg/admission/certificates/{approval,signing,subjectrestriction}` and the kind's strategy.
"""

from __future__ import annotations

from minik.api import errors, times
from minik.api.certificates_v1 import certificatesigningrequest as csrs
from minik.api.meta import Obj, ROObj
from minik.server.authz.rules import MASTERS, SYSTEM_ACCOUNTS
from minik.server.core import Attributes, Core
from minik.server.request import User

_CLIENT = "kubernetes.io/kube-apiserver-client"
_KUBELETS = frozenset({"kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"})
_ALMIGHTY = frozenset({MASTERS, SYSTEM_ACCOUNTS})
"""Groups that may everything whatever roles say. Upstream names the first alone: its service accounts have what roles give them."""
_WHO = ("username", "uid", "groups", "extra")


def admit_certificate_requests(core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.resource != csrs.RESOURCE:
        return
    if attributes.old is None:
        _ask(draft, attributes)
    elif attributes.subresource in ("approval", "status"):
        _date(core, draft, attributes.old)


def _ask(draft: Obj, attributes: Attributes) -> None:
    spec, user = draft.setdefault("spec", {}), attributes.user
    for field in _WHO:
        spec.pop(field, None)
    spec["username"] = user.name
    if user.uid:
        spec["uid"] = user.uid
    if user.groups:
        spec["groups"] = sorted(user.groups)
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}


def _date(core: Core, draft: Obj, old: ROObj) -> None:
    """Conditions without times get them (strategy.go populateConditionTimestamps)."""
    given = csrs.conditions(draft)
    if not given or given == csrs.conditions(old):
        return
    now = times.format_time(core.clock.now())
    since = {(c.get("type"), c.get("status")): c.get("lastTransitionTime") for c in csrs.conditions(old)}
    draft["status"] = {
        **draft["status"],
        "conditions": [
            {
                **c,
                "lastUpdateTime": c.get("lastUpdateTime") or now,
                "lastTransitionTime": c.get("lastTransitionTime") or since.get((c.get("type"), c.get("status"))) or now,
            }
            for c in given
        ],
    }


def admit_certificate_decisions(core: Core, draft: Obj, attributes: Attributes) -> None:
    """After validation, so that the request can be read."""
    if attributes.kind.resource != csrs.RESOURCE:
        return
    old = attributes.old
    if old is None:
        _restrict_subject(draft, attributes)
        _restrict_node(draft, attributes)
    elif attributes.subresource == "approval":
        _permitted(core, draft, attributes, "approve")
    elif attributes.subresource == "status" and (
        csrs.certificate(draft) != csrs.certificate(old) or csrs.conditions(draft) != csrs.conditions(old)
    ):
        _permitted(core, draft, attributes, "sign")


def _restrict_subject(draft: Obj, attributes: Attributes) -> None:
    if csrs.signer(draft) != _CLIENT:
        return
    from minik import pki  # on first use: cryptography takes 85 ms to import

    forbidden = _ALMIGHTY & set(pki.request_facts(csrs.request_pem(draft)).organizations)
    if forbidden:
        why = f"use of {_CLIENT} signer with {min(forbidden)} group is not allowed"
        raise errors.forbidden(attributes.kind.plural, attributes.kind.group, attributes.name, why)


def _restrict_node(draft: Obj, attributes: Attributes) -> None:
    """A node asks for itself alone (NodeRestriction, admitCSR)."""
    user = attributes.user
    if "system:nodes" not in user.groups or csrs.signer(draft) not in _KUBELETS:
        return
    from minik import pki  # on first use: cryptography takes 85 ms to import

    if pki.request_facts(csrs.request_pem(draft)).common_name != user.name:
        why = f"can only create a node CSR with CN={user.name}"
        raise errors.forbidden(attributes.kind.plural, attributes.kind.group, attributes.name, why)


def _permitted(core: Core, draft: Obj, attributes: Attributes, verb: str) -> None:
    signer = csrs.signer(draft)
    if not may_use_signer(core, attributes.user, verb, signer):
        why = f'user not permitted to {verb} requests with signerName "{signer}"'
        raise errors.forbidden(attributes.kind.plural, attributes.kind.group, attributes.name, why)


def may_use_signer(core: Core, user: User, verb: str, signer: str) -> bool:
    """Whether a user may `approve` or `sign` for a signer: named, or all of its domain (`example.com/*`)."""
    names = (signer, f"{signer.partition('/')[0]}/*")
    return any(core.access.may(user, verb, csrs.GROUP, "signers", name=name) for name in names)
