"""The ConfigMap `kube-root-ca.crt` in every namespace: what pods verify the API server with. It is projected into each of them.

kube-controller-manager's root-ca-certificate-publisher. The certificate is the process's, not the API's, so the composition root
passes it in.
"""

from __future__ import annotations

from collections.abc import Iterable

from minik.api import meta
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, maps

NAME = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


def _namespace(configmap: ROObj) -> Iterable[Key]:
    return (Key("", meta.namespace(configmap)),) if meta.name(configmap) == NAME else ()


def controller(certificate: str) -> Controller:
    """The controller that publishes `certificate` (PEM)."""
    data = {"ca.crt": certificate}

    async def reconcile(ctx: Context, key: Key) -> Result:
        namespace = ctx.cache("namespaces").get(key)
        if namespace is None or meta.is_deleting(namespace):
            return DONE
        current = ctx.cache("configmaps").get(Key(key.name, NAME))
        if current is None:
            await ctx.client.create("configmaps", _configmap(key.name, data))
        elif current.get("data") != data:
            await ctx.client.update("configmaps", {**current, "data": data})
        return DONE

    return Controller(
        "root-ca-certificate-publisher",
        primary="namespaces",
        triggers=[maps("configmaps", _namespace)],
        when=lambda _old, _new: False,  # a namespace has what it is to have from its first moment on
        reconcile=reconcile,
        rbac=[can("create,update", "configmaps")],
    )


def _configmap(namespace: str, data: dict[str, str]) -> Obj:
    annotations = {"kubernetes.io/description": _DESCRIPTION}
    return {"metadata": {"name": NAME, "namespace": namespace, "annotations": annotations}, "data": data}
