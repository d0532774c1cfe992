"""Who may what: service accounts and their token Secrets, bootstrap tokens, aggregated roles, certificate requests."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from minik.api import meta, times
from minik.api.certificates_v1 import certificatesigningrequest as csrs
from minik.api.core_v1.secret import ACCOUNT_NAME, ACCOUNT_TOKEN, ACCOUNT_UID, BOOTSTRAP_TOKEN, type_of
from minik.api.meta import Obj
from minik.clock import LoopClock
from tests.support.simulation.signing import request_pem
from tests.support.simulation.subjects.subject import Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

ACCOUNTS, SECRETS, ROLES = "serviceaccounts", "secrets", "clusterroles.rbac.authorization.k8s.io"
_PART = "simulation.test/part"
_NODE_USAGES, _CLIENT_USAGES = ["digital signature", "client auth"], ["client auth"]


async def create_account(user: User) -> None:
    await user.create(ACCOUNTS, {"metadata": {"name": user.new_name("account"), "namespace": user.namespace()}})


async def delete_account(user: User) -> None:
    """Any, the namespaces' own too: those come again."""
    await user.delete(ACCOUNTS)


async def create_token(user: User) -> None:
    """A Secret for a token of some account, or of one that is not there."""
    account = await user.some(ACCOUNTS)
    if account is None:
        return
    name = meta.name(account) if user.rng.random() < 0.9 else "nobody"
    metadata = {
        "name": user.new_name("token"),
        "namespace": meta.namespace(account),
        "annotations": {ACCOUNT_NAME: name},
    }
    await user.create(SECRETS, {"metadata": metadata, "type": ACCOUNT_TOKEN})
    if user.rng.random() < 0.3:
        patch = {"secrets": [{"name": metadata["name"]}]}
        await user.client.patch(ACCOUNTS, meta.name(account), meta.namespace(account), patch)


async def spoil_token(user: User) -> None:
    """Takes a token away: it is made again."""
    found = [s for s in (await user.client.list(SECRETS)).items if type_of(s) == ACCOUNT_TOKEN]
    if found:
        secret = user.rng.choice(found)
        await user.client.patch(SECRETS, meta.name(secret), meta.namespace(secret), {"data": {"token": None}})


async def delete_secret(user: User) -> None:
    await user.delete(SECRETS)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def create_bootstrap_token(user: User) -> None:
    end = LoopClock().now() + timedelta(seconds=user.rng.randint(-5, 60))
    identity = f"{user.rng.getrandbits(24):06x}"
    data = {"token-id": identity, "token-secret": "0123456789abcdef", "expiration": times.format_time(end)}
    metadata = {"name": f"bootstrap-token-{identity}", "namespace": "kube-system"}
    body = {
        "metadata": metadata,
        "type": BOOTSTRAP_TOKEN,
        "data": {name: _encoded(text) for name, text in data.items()},
    }
    await user.create(SECRETS, body)


def _rules(user: User) -> list[Obj]:
    resources = user.rng.sample(("pods", "services", "configmaps", "secrets"), user.rng.randint(1, 2))
    return [{"apiGroups": [""], "resources": [each], "verbs": ["get"]} for each in resources]


async def create_role(user: User) -> None:
    """A part of others, or made of them."""
    part = user.rng.choice(("a", "b"))
    metadata: Obj = {"name": user.new_name("role")}
    if user.rng.random() < 0.4:
        rule = {"clusterRoleSelectors": [{"matchLabels": {_PART: part}}]}
        await user.create(ROLES, {"metadata": metadata, "aggregationRule": rule, "rules": []})
        return
    metadata["labels"] = {_PART: part}
    if user.rng.random() < 0.3:
        metadata["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] = "true"
    await user.create(ROLES, {"metadata": metadata, "rules": _rules(user)})


async def change_role(user: User) -> None:
    found = [role for role in (await user.client.list(ROLES)).items if _PART in meta.labels(role)]
    if found:
        patch: Obj = {"rules": _rules(user), "metadata": {"labels": {_PART: user.rng.choice(("a", "b"))}}}
        await user.client.patch(ROLES, meta.name(user.rng.choice(found)), "", patch)


async def delete_role(user: User) -> None:
    found = [role for role in (await user.client.list(ROLES)).items if meta.name(role).startswith("role-")]
    if found:
        await user.client.delete(ROLES, meta.name(user.rng.choice(found)))


async def ask_for_certificate(user: User) -> None:
    """A node's, which is approved by itself, or somebody's, which people approve or deny; some cannot be signed."""
    is_node = user.rng.random() < 0.5
    usages = _NODE_USAGES if is_node else user.rng.choice((_CLIENT_USAGES, ["server auth"]))
    signer = csrs.GROUP.replace("certificates.k8s.io", "kubernetes.io/") + (
        "kube-apiserver-client-kubelet" if is_node else "kube-apiserver-client"
    )
    spec = {"request": base64.b64encode(request_pem(is_node=is_node)).decode(), "signerName": signer, "usages": usages}
    await user.create(csrs.RESOURCE, {"metadata": {"name": user.new_name("csr")}, "spec": spec})


async def decide(user: User) -> None:
    found = [csr for csr in (await user.client.list(csrs.RESOURCE)).items if not csrs.conditions(csr)]
    if not found:
        return
    csr, what = user.rng.choice(found), user.rng.choice((csrs.APPROVED, csrs.APPROVED, csrs.DENIED))
    condition = {"type": what, "status": "True", "reason": "Simulated", "message": "by a person"}
    draft = {**csr, "status": {**(csr.get("status") or {}), "conditions": [condition]}}
    await user.client.update(csrs.RESOURCE, draft, subresource="approval")


async def tidy(user: User) -> None:
    """Nobody decides any more about what is left: an hour, or a day, is too long to wait."""
    for csr in (await user.client.list(csrs.RESOURCE)).items:
        if not csrs.certificate(csr) and not csrs.has(csr, csrs.APPROVED):
            await user.client.delete(csrs.RESOURCE, meta.name(csr))


def unsettled(view: View) -> Iterator[str]:
    yield from _tokens(view)
    yield from _roles(view)
    now = LoopClock().now()
    for csr in view.all(csrs.RESOURCE):
        if csrs.has(csr, csrs.FAILED):
            continue
        if csrs.certificate(csr):
            yield f"csr {name_of(csr)}: its certificate has ended, and it is there"
        elif csrs.has(csr, csrs.APPROVED):
            yield f"csr {name_of(csr)}: is approved, and has neither a certificate nor failed"
    for secret in view.all(SECRETS):
        if type_of(secret) == BOOTSTRAP_TOKEN and "expiration" in (secret.get("data") or {}):
            end = times.parse_time(base64.b64decode(secret["data"]["expiration"]).decode())
            if end < now:
                yield f"secret {name_of(secret)}: has ended at {end}"


def _tokens(view: View) -> Iterator[str]:
    accounts = {name_of(account): meta.uid(account) for account in view.all(ACCOUNTS)}
    for secret in view.all(SECRETS):
        if type_of(secret) != ACCOUNT_TOKEN:
            continue
        what, owner = f"secret {name_of(secret)}", f"{meta.namespace(secret)}/{meta.annotations(secret)[ACCOUNT_NAME]}"
        if owner not in accounts or meta.annotations(secret).get(ACCOUNT_UID) != accounts[owner]:
            yield f"{what}: is of account {owner}, which is another one or not there"
        elif not {"token", "ca.crt", "namespace"} <= (secret.get("data") or {}).keys():
            yield f"{what}: has only {sorted(secret.get('data') or {})}"


def _roles(view: View) -> Iterator[str]:
    for role in view.all(ROLES):
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
        if not selectors:
            continue
        wanted: list[object] = []
        for part in sorted(view.all(ROLES), key=meta.name):
            chosen = any((s.get("matchLabels") or {}).items() <= meta.labels(part).items() for s in selectors)
            if chosen and part is not role:
                wanted += [rule for rule in part.get("rules") or () if rule not in wanted]
        if wanted != list(role.get("rules") or ()):
            yield f"role {name_of(role)}: has {len(role.get('rules') or ())} rules, not the {len(wanted)} of its parts"


SUBJECT = Subject(
    "identities",
    actions=(
        (create_account, 1.5), (delete_account, 1.0), (create_token, 2.0), (spoil_token, 0.7), (delete_secret, 0.7),
        (create_bootstrap_token, 1.0), (create_role, 2.0), (change_role, 1.0), (delete_role, 0.7),
        (ask_for_certificate, 2.0), (decide, 2.0),
    ),
    starts=(create_account, ask_for_certificate),
    tidy=tidy,
    unsettled=unsettled,
)  # fmt: skip
