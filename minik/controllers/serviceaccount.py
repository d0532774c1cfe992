"""The `default` ServiceAccount of every namespace: pods that name none run as it, so it has to be there before any pod.

kube-controller-manager's serviceaccount-controller. The CA bundle that goes with it is `rootca.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable

from minik.api import meta
from minik.api.meta import Key, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, maps

NAME = "default"


def _namespace(account: ROObj) -> Iterable[Key]:
    return (Key("", meta.namespace(account)),) if meta.name(account) == NAME else ()


async def reconcile(ctx: Context, key: Key) -> Result:
    namespace = ctx.cache("namespaces").get(key)
    if namespace is None or meta.is_deleting(namespace) or ctx.cache("serviceaccounts").get(Key(key.name, NAME)):
        return DONE
    await ctx.client.create("serviceaccounts", {"metadata": {"name": NAME, "namespace": key.name}})
    return DONE


CONTROLLER = Controller(
    "serviceaccount",
    primary="namespaces",
    triggers=[maps("serviceaccounts", _namespace)],
    when=lambda _old, _new: False,  # a namespace has what it is to have from its first moment on
    reconcile=reconcile,
    rbac=[can("create", "serviceaccounts")],
)
