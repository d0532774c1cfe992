"""The built-in controllers: ordinary API clients made of `minik.client.controller`. They know no server and no storage.

`ALL` is what a server runs, besides `rootca.controller(pem)`, which needs the cluster's certificate. A new controller is a file of
its own exporting `CONTROLLER`, and a line here.
"""

from __future__ import annotations

from minik.client.controller import Controller
from minik.controllers import (
    deployment,
    endpoints,
    endpointslice,
    garbagecollector,
    namespace,
    nodeipam,
    nodelifecycle,
    podgc,
    replicaset,
    replicationcontroller,
    serviceaccount,
    tainteviction,
)

ALL: tuple[Controller, ...] = (
    namespace.CONTROLLER,
    serviceaccount.CONTROLLER,
    nodeipam.CONTROLLER,
    nodelifecycle.CONTROLLER,
    tainteviction.CONTROLLER,
    replicationcontroller.CONTROLLER,
    replicaset.CONTROLLER,
    deployment.CONTROLLER,
    endpoints.CONTROLLER,
    endpointslice.CONTROLLER,
    podgc.CONTROLLER,
    garbagecollector.CONTROLLER,
)
