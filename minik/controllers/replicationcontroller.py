"""ReplicationController (core/v1): the ReplicaSet of old, with a plain map of labels as selector."""

from __future__ import annotations

from minik.api.meta import Key, ROObj
from minik.api.selectors import Selector, from_labels
from minik.client.controller import Context, Controller, Result, can, owned_by, selected_by
from minik.controllers.common import claims
from minik.controllers.common.reconcile_replicas import matters_to_replicas, reconcile_replicas


def _selector(rc: ROObj) -> Selector:
    return from_labels(rc["spec"]["selector"])


async def reconcile(ctx: Context, key: Key) -> Result:
    return await reconcile_replicas(ctx, "replicationcontrollers", key, _selector)


CONTROLLER = Controller(
    "replicationcontroller",
    primary="replicationcontrollers",
    triggers=[owned_by("pods", when=matters_to_replicas), selected_by("pods", _selector, orphans_only=True)],
    reconcile=reconcile,
    indexes={"pods": {claims.ORPHANS: claims.orphans}},
    rbac=[can("create,delete,list,patch,watch", "pods"), can("get,list,watch,update", "replicationcontrollers")],
)
