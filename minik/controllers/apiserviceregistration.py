"""An APIService for every group and version that the API server serves itself, so that `kubectl get apiservices` tells the whole API.

What is served is the registry's to say: built-in groups, and those of CustomResourceDefinitions, which come and go. An APIService
that names a Service is its author's and is left alone, and so is everything that this controller did not make. metrics.k8s.io gets
none: whoever installs a metrics server brings it.

Source: kube-aggregator `pkg/controllers/autoregister`, kube-apiserver `pkg/controlplane/apiserver/aggregator.go` (priorities).
"""

from __future__ import annotations

from minik.api import meta
from minik.api.apiregistration_v1.apiservice import RESOURCE, service_of
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj
from minik.client.controller import DONE, Context, Controller, Result, Setup, can

MANAGED = "kube-aggregator.kubernetes.io/automanaged"
_LEFT_OUT = frozenset({"metrics.k8s.io"})
_GROUP_PRIORITIES = {
    "": 18_000, "apps": 17_800, "events.k8s.io": 17_750, "authentication.k8s.io": 17_700, "authorization.k8s.io": 17_600,
    "autoscaling": 17_500, "batch": 17_400, "certificates.k8s.io": 17_300, "networking.k8s.io": 17_200, "policy": 17_100,
    "rbac.authorization.k8s.io": 17_000, "storage.k8s.io": 16_800, "apiextensions.k8s.io": 16_700,
    "admissionregistration.k8s.io": 16_700, "scheduling.k8s.io": 16_600, "coordination.k8s.io": 16_500, "node.k8s.io": 16_300,
    "discovery.k8s.io": 16_200, "flowcontrol.apiserver.k8s.io": 16_100, "resource.k8s.io": 15_900,
}  # fmt: skip
_BUILT_IN, _CUSTOM = 15_000, 1_000
"""Group priorities of other built-in groups, and of custom ones."""
_VERSION_PRIORITY, _CUSTOM_VERSION_PRIORITY = 15, 100


def name_of(group: str, version: str) -> str:
    return f"{version}.{group}"


def plan_apiservice(group: str, version: str, *, is_custom: bool) -> Obj:
    """The object for what the API server serves itself. Pure."""
    priority = _CUSTOM if is_custom else _GROUP_PRIORITIES.get(group, _BUILT_IN)
    return {
        "metadata": {"name": name_of(group, version), "labels": {MANAGED: "true" if is_custom else "onstart"}},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": priority,
            "versionPriority": _CUSTOM_VERSION_PRIORITY if is_custom else _VERSION_PRIORITY,
        },
    }


class _Groups:
    """What is served: (group, version) by the name of its APIService; tells the controller when that changes."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.served: dict[str, tuple[str, str, bool]] = {}
        """name → (group, version, whether it is custom)."""
        setup.registry.on_change(self._changed)
        self._changed()

    def _changed(self) -> None:
        before, self.served = self.served, {}
        for kind in self._setup.registry:
            if kind.group not in _LEFT_OUT:
                name = name_of(kind.group, kind.version)
                custom = kind.custom is not None and self.served.get(name, ("", "", True))[2]
                self.served[name] = (kind.group, kind.version, custom)
        for name in sorted(before.keys() ^ self.served.keys()):
            self._setup.enqueue(Key("", name))


async def reconcile(ctx: Context, key: Key) -> Result:
    """Create what is missing, delete what was made for a custom group that is gone."""
    groups: _Groups = ctx.state
    served = groups.served.get(key.name)
    current = ctx.cache(RESOURCE).get(key)
    if served is not None:
        if current is None:
            group, version, is_custom = served
            await ctx.client.create(RESOURCE, plan_apiservice(group, version, is_custom=is_custom))
    elif current is not None and meta.labels(current).get(MANAGED) == "true" and service_of(current) is None:
        try:
            await ctx.client.delete(RESOURCE, key.name, uid=meta.uid(current))
        except NotFound:
            return DONE
    return DONE


CONTROLLER = Controller(
    "apiservice-registration",
    primary=RESOURCE,
    reconcile=reconcile,
    state=_Groups,
    when=lambda _old, _new: False,  # only whether there is one counts
    rbac=[can("create,delete", RESOURCE)],
)
