"""`run`: a user's controllers as a program of their own, against any Kubernetes: kubeconfig or the pod's service account, signals,
leader election, health and metrics."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from minik import log as logs
from minik.aio import running as running_tasks
from minik.api.errors import Forbidden, ServiceUnavailable, Unauthorized
from minik.api.meta import Obj
from minik.client.client import Client
from minik.client.controller import Controller
from minik.client.discovery import Discovered
from minik.client.kubeconfig import Access, KubeconfigError, find_access
from minik.client.lease import LeaderElector, LeadershipLost
from minik.clock import Entropy, SystemClock
from minik.metrics import Metrics
from minik.sdk.hosting import Host

log = logging.getLogger("minik.sdk")

_PAUSE = 2.0
"""Seconds between attempts to reach a server that is not up yet."""


def run(*controllers: Controller, crds: Sequence[Obj] = (), argv: Sequence[str] | None = None) -> None:
    """Run the controllers until SIGTERM or SIGINT. The last line of a controller's file:

        if __name__ == "__main__":
            run(CONTROLLER, crds=CRDS)

    Options come from the command line (`--help` tells them). Exits with 2 for a kubeconfig that is no use, with 1 if the server
    refuses who asks or the lease is lost."""
    options = _options(controllers, argv)
    if options.print_rbac is not None:
        _print_rbac(controllers, options.print_rbac)
        return
    logs.setup(level=options.log_level, style=options.log_format)
    try:
        access = find_access(options.kubeconfig, options.context)
    except KubeconfigError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201  # a program's own words
        raise SystemExit(2) from None
    try:
        asyncio.run(_Program(controllers, crds, access, options).run())
    except KeyboardInterrupt:
        return
    except (Unauthorized, Forbidden, LeadershipLost, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201  # as above
        raise SystemExit(1) from error


def _options(controllers: Sequence[Controller], argv: Sequence[str] | None) -> argparse.Namespace:
    names = ", ".join(controller.name for controller in controllers)
    parser = argparse.ArgumentParser(description=f"Runs the controller(s) {names} against a Kubernetes API server.")
    parser.add_argument(
        "--kubeconfig", default="", help="default: $KUBECONFIG, the pod's service account, ~/.kube/config"
    )
    parser.add_argument("--context", default="", help="a context of the kubeconfig; default: its current one")
    parser.add_argument(
        "--leader-election", nargs="?", const="", default=None, metavar="[NAMESPACE/]NAME",
        help="work only while holding this Lease; default name: the controller's",
    )  # fmt: skip
    parser.add_argument(
        "--health", default="", metavar="[ADDR]:PORT", help="serve /healthz, /readyz and /metrics there"
    )
    parser.add_argument(
        "--print-rbac", nargs="?", const="default", default=None, metavar="NAMESPACE",
        help="print a ServiceAccount there with the rights that the controllers need, as YAML, and end",
    )  # fmt: skip
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--log-format", default="text", choices=["text", "json"])
    return parser.parse_args(argv)


def _print_rbac(controllers: Sequence[Controller], namespace: str) -> None:
    import yaml

    from minik.sdk.rights import rbac

    print(yaml.safe_dump_all(rbac(controllers, namespace=namespace), sort_keys=False), end="")  # noqa: T201  # what it is for


class _Program:
    def __init__(
        self, controllers: Sequence[Controller], crds: Sequence[Obj], access: Access, options: argparse.Namespace
    ) -> None:
        self._controllers, self._crds = controllers, crds
        self._access, self._options = access, options
        self._clock, self._entropy, self._metrics = SystemClock(), Entropy(), Metrics()
        self._ready = False

    async def run(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with running_tasks("program") as tasks:
            health = await self._serve_health()
            work = tasks.start("work", self._work())
            stopped = tasks.start("stop", stop.wait())
            try:
                await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                if health is not None:
                    await health.cleanup()

    async def _work(self) -> None:
        transport = self._access.transport()
        discovered = Discovered(transport, clock=self._clock, entropy=self._entropy)
        try:
            await self._reach(discovered)
            host = Host(
                self._controllers, self._crds, transport, discovered.registry,
                clock=self._clock, entropy=self._entropy, metrics=self._metrics,
            )  # fmt: skip

            async def lead() -> None:
                try:
                    await host.start()
                    self._ready = True
                    await asyncio.get_running_loop().create_future()
                finally:
                    await host.close()

            if self._options.leader_election is None:
                await lead()
            else:
                self._ready = True  # a standby is as it should be
                elector = self._elector(Client(transport, discovered.registry, manager="minik-sdk"))
                try:
                    await elector.run(lead)
                finally:
                    with contextlib.suppress(TimeoutError, OSError):
                        async with asyncio.timeout(_PAUSE):
                            await elector.release()  # whoever waits need not wait for the lease to end
        finally:
            await discovered.close()
            await transport.close()

    async def _reach(self, discovered: Discovered) -> None:
        """Until the server answers."""
        said = False
        while True:
            try:
                await discovered.start()
            except ServiceUnavailable as error:
                if not said:
                    log.warning("waiting for the server", extra={"server": self._access.server, "error": error.message})
                said = True
                await self._clock.sleep(_PAUSE)
            else:
                log.info("connected", extra={"server": self._access.server})
                return

    def _elector(self, client: Client) -> LeaderElector:
        namespace, _, name = self._options.leader_election.rpartition("/")
        return LeaderElector(
            client,
            namespace=namespace or self._access.namespace,
            name=name or self._controllers[0].name,
            identity=f"{socket.gethostname()}_{os.getpid()}_{self._entropy.suffix()}",
            clock=self._clock,
            entropy=self._entropy,
        )

    async def _serve_health(self) -> Any:
        """The web server of --health, or None. Raises OSError if its port is taken."""
        if not self._options.health:
            return None
        from aiohttp import web

        async def healthz(_request: web.Request) -> web.Response:
            return web.Response(text="ok")

        async def readyz(_request: web.Request) -> web.Response:
            return web.Response(text="ok") if self._ready else web.Response(status=503, text="not connected yet")

        async def metrics(_request: web.Request) -> web.Response:
            return web.Response(body=self._metrics.render().encode(), content_type="text/plain")

        app = web.Application()
        app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        address, _, port = self._options.health.rpartition(":")
        await web.TCPSite(runner, address or "0.0.0.0", int(port)).start()
        return runner
