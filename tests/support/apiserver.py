"""An API server over a memory store, for tests: without sockets (`local`), or listening on loopback with a throw-away CA (`serve`).

By hand:  python -m tests.support.apiserver DIR   serves, and writes DIR/kubeconfig
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from minik import pki
from minik.api.builtin import builtin_registry
from minik.clock import Clock, Entropy, SystemClock
from minik.metrics import Metrics
from minik.server.aggregation import FrontProxy
from minik.server.app import ApiServer, ServerSettings
from minik.server.http import HttpServer, server_ssl
from minik.server.local import LocalTransport
from minik.server.request import User
from minik.server.tunnel import Links
from minik.storage.base import Store
from minik.storage.cache import Cache
from minik.storage.memory import MemoryStore

ADMIN = User("kubernetes-admin", frozenset({"system:masters", "system:authenticated"}))


@dataclass
class Running:
    """A server and what it is made of."""

    server: ApiServer
    store: Store
    cache: Cache
    clock: Clock
    entropy: Entropy
    ca: pki.KeyPair
    links: Links

    def local(self, user: User = ADMIN) -> LocalTransport:
        return LocalTransport(self.server.handler, user)


@contextlib.asynccontextmanager
async def running(
    *,
    clock: Clock | None = None,
    store: Store | None = None,
    namespaces: tuple[str, ...] = ("default", "kube-system"),
    data_dir: Path | None = None,
    front_proxy: FrontProxy | None = None,
) -> AsyncIterator[Running]:
    """A server without sockets, with the given namespaces and their default service accounts."""
    clock = clock or SystemClock()
    entropy = Entropy(1)
    store = store or MemoryStore()
    cache = Cache(store)
    await cache.start()
    now = SystemClock().now()
    ca = pki.new_ca(now=now)
    links = Links()
    server = ApiServer(
        store=store,
        cache=cache,
        registry=builtin_registry(),
        clock=clock,
        entropy=entropy,
        metrics=Metrics(),
        links=links,
        settings=ServerSettings(
            ca_certificate=ca.certificate,
            token_signing_key=pki.new_signing_key(),
            data_dir=data_dir,
            front_proxy=front_proxy,
            sign_node_csr=lambda csr, node: pki.sign_node_request(ca, csr, node=node, now=now),
        ),
    )
    server.ready = True
    run = Running(server, store, cache, clock, entropy, ca, links)
    local = run.local()
    for name in namespaces:
        await local.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
        path = f"/api/v1/namespaces/{name}/serviceaccounts"
        await local.request("POST", path, body={"metadata": {"name": "default"}})
    try:
        yield run
    finally:
        await cache.close()
        await store.close()


@contextlib.asynccontextmanager
async def serving(
    directory: Path, *, port: int = 0, front_proxy: FrontProxy | None = None
) -> AsyncIterator[tuple[Running, str]]:
    """The same behind TLS on loopback; (server, URL). Writes `kubeconfig`, ca.crt, admin.crt and admin.key into `directory`."""
    async with running(front_proxy=front_proxy) as run:
        now = SystemClock().now()
        own = pki.new_server_certificate(run.ca, now=now, names=["localhost", "127.0.0.1"])
        admin = pki.new_client_certificate(run.ca, now=now, user=ADMIN.name, groups=["system:masters"])
        files = {
            "ca.crt": run.ca.certificate,
            "server.crt": own.certificate,
            "server.key": own.key,
            "admin.crt": admin.certificate,
            "admin.key": admin.key,
        }
        for name, content in files.items():
            (directory / name).write_bytes(content)
        context = server_ssl(
            str(directory / "server.crt"), str(directory / "server.key"), client_ca=str(directory / "ca.crt")
        )
        http = HttpServer(run.server.handler, host="127.0.0.1", port=port, ssl_context=context, entropy=run.entropy)
        await http.start()
        url = f"https://127.0.0.1:{http.port}"
        (directory / "kubeconfig").write_text(kubeconfig(url, directory))
        try:
            yield run, url
        finally:
            await http.close()


def kubeconfig(url: str, directory: Path) -> str:
    return f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{url}", certificate-authority: "{directory}/ca.crt"}}}}]
users: [{{name: admin, user: {{client-certificate: "{directory}/admin.crt", client-key: "{directory}/admin.key"}}}}]
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
current-context: test
"""


async def _main(directory: Path) -> None:
    async with serving(directory) as (_, url):
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_main(Path(sys.argv[1])))
