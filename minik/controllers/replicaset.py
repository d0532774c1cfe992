"""ReplicaSet (apps/v1): as many pods of a template as it says."""

from __future__ import annotations

from minik.api.meta import Key
from minik.api.selectors import from_label_selector
from minik.client.controller import Context, Controller, Result, can, owned_by, selected_by
from minik.controllers.common import claims
from minik.controllers.common.reconcile_replicas import matters_to_replicas, reconcile_replicas


async def reconcile(ctx: Context, key: Key) -> Result:
    return await reconcile_replicas(
        ctx, "replicasets.apps", key, lambda rs: from_label_selector(rs["spec"]["selector"])
    )


CONTROLLER = Controller(
    "replicaset",
    primary="replicasets.apps",
    triggers=[
        owned_by("pods", when=matters_to_replicas),
        selected_by("pods", lambda rs: from_label_selector(rs["spec"]["selector"]), orphans_only=True),
    ],
    reconcile=reconcile,
    indexes={"pods": {claims.ORPHANS: claims.orphans}},
    rbac=[can("create,delete,list,patch,watch", "pods"), can("get,list,watch,update", "replicasets.apps")],
)
