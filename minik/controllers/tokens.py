"""Secrets of type `kubernetes.io/service-account-token`: filled with a token that lasts as long as they do, gone with their account.

kube-controller-manager's token-controller (`pkg/controller/serviceaccount/tokens_controller.go`). Such a Secret names its account in an
annotation; it gets the account's uid, the token, the cluster's CA and its namespace. One whose account is not there, or is another one of
that name, is deleted; when one goes, accounts that list it forget it. What signs is the process's: the composition root passes it in.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping

from minik.api import meta
from minik.api.core_v1.secret import ACCOUNT_NAME, ACCOUNT_TOKEN, ACCOUNT_UID, type_of
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps, maps_with

Sign = Callable[[ROObj, ROObj], str]
"""(account, Secret) → a token that is good while both exist."""
_BY_ACCOUNT = "account"
_BY_SECRET = "secret"


def account_name(secret: ROObj) -> str:
    return meta.annotations(secret).get(ACCOUNT_NAME) or ""


def is_for(secret: ROObj, account: ROObj | None) -> bool:
    """Whether the account is the one that the Secret names, and stays."""
    if account is None or meta.is_deleting(account):
        return False
    uid = meta.annotations(secret).get(ACCOUNT_UID)
    return not uid or uid == meta.uid(account)


def plan_fill(secret: ROObj, account: ROObj, *, ca: str, sign: Sign) -> Obj | None:
    """What has to change in a token Secret, as a merge patch; None: nothing. `ca`: PEM."""
    data: Mapping[str, str] = secret.get("data") or {}
    wanted = {"ca.crt": _encoded(ca), "namespace": _encoded(meta.namespace(secret))}
    changed = {key: value for key, value in wanted.items() if data.get(key) != value}
    if not data.get("token"):
        changed["token"] = _encoded(sign(account, secret))
    patch: Obj = {"data": changed} if changed else {}
    if not meta.annotations(secret).get(ACCOUNT_UID):
        patch["metadata"] = {"annotations": {ACCOUNT_UID: meta.uid(account)}}
    return patch or None


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def controller(ca: str, sign: Sign) -> Controller:
    """The controller that fills token Secrets with `ca` (PEM) and what `sign` makes."""

    async def reconcile(ctx: Context, key: Key) -> Result:
        secret = ctx.cache("secrets").get(key)
        if secret is None:
            await _forget(ctx, key)
            return DONE
        if type_of(secret) != ACCOUNT_TOKEN or meta.is_deleting(secret):
            return DONE
        name = account_name(secret)
        account = ctx.cache("serviceaccounts").get(Key(key.namespace, name))
        if not is_for(secret, account):
            account = await _ask(ctx, key.namespace, name)  # the cache may lag; nothing is thrown away on its word
        if account is None or not is_for(secret, account):
            await _delete(ctx, secret)
            return DONE
        patch = plan_fill(secret, account, ca=ca, sign=sign)
        if patch is not None:
            exact = {"uid": meta.uid(secret), "resourceVersion": secret["metadata"]["resourceVersion"]}
            patch["metadata"] = {**patch.get("metadata", {}), **exact}
            await ctx.client.patch("secrets", key.name, key.namespace, patch)
        return DONE

    return Controller(
        "serviceaccount-token",
        primary="",
        triggers=[
            maps("secrets", _if_token, when=_matters),
            maps_with("serviceaccounts", _of_account, when=_account_matters),
        ],
        indexes={"secrets": {_BY_ACCOUNT: _named}, "serviceaccounts": {_BY_SECRET: _listed}},
        reconcile=reconcile,
        rbac=[can("patch,delete", "secrets"), can("patch,get", "serviceaccounts")],
        component="serviceaccount-controller",
    )


async def _ask(ctx: Context, namespace: str, name: str) -> ROObj | None:
    try:
        return await ctx.client.get("serviceaccounts", name, namespace) if name else None
    except NotFound:
        return None


async def _delete(ctx: Context, secret: ROObj) -> None:
    try:
        await ctx.client.delete(
            "secrets", meta.name(secret), meta.namespace(secret), uid=meta.uid(secret),
            resource_version=secret["metadata"]["resourceVersion"],
        )  # fmt: skip
    except NotFound:
        return


async def _forget(ctx: Context, key: Key) -> None:
    """Take a Secret that is gone from the accounts that list it."""
    for account in ctx.cache("serviceaccounts").by_index(_BY_SECRET, str(key)):
        remaining = [ref for ref in account.get("secrets") or () if ref.get("name") != key.name]
        exact = {"uid": meta.uid(account), "resourceVersion": account["metadata"]["resourceVersion"]}
        patch = {"metadata": exact, "secrets": remaining or None}
        try:
            await ctx.client.patch("serviceaccounts", meta.name(account), key.namespace, patch)
        except NotFound:
            continue


def _if_token(secret: ROObj) -> Iterable[Key]:
    return (meta.key(secret),) if type_of(secret) == ACCOUNT_TOKEN else ()


def _named(secret: ROObj) -> Iterable[str]:
    if type_of(secret) != ACCOUNT_TOKEN:
        return ()
    return (f"{meta.namespace(secret)}/{account_name(secret)}",)


def _listed(account: ROObj) -> Iterable[str]:
    return [str(Key(meta.namespace(account), ref.get("name") or "")) for ref in account.get("secrets") or ()]


def _of_account(scope: Scope, account: ROObj) -> Iterable[Key]:
    found = scope.cache("secrets").by_index(_BY_ACCOUNT, f"{meta.namespace(account)}/{meta.name(account)}")
    return [meta.key(secret) for secret in found]


def _matters(old: ROObj, new: ROObj) -> bool:
    return old.get("data") != new.get("data") or meta.annotations(old) != meta.annotations(new)


def _account_matters(old: ROObj, new: ROObj) -> bool:
    return meta.uid(old) != meta.uid(new) or meta.is_deleting(old) != meta.is_deleting(new)
