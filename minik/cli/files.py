"""The server's files in its data directory: keys, certificates, kubeconfig. Reading and writing, no decisions about the cluster.

DIR/state.db …          the store (minik.storage)
DIR/pki/                ca, server, admin, front-proxy-ca, front-proxy-client (.crt, .key) and sa.key
DIR/admin.kubeconfig    the administrator's way in
DIR/agent/              the own node: pod directories
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from minik import pki
from minik.cli.address import primary_address
from minik.config import CLUSTER_CIDR, CLUSTER_DOMAIN, KUBERNETES_SERVICE_IP, SERVICE_CIDR
from minik.files import write_private

RENEW_BEFORE = timedelta(days=60)
ADMIN, ADMIN_GROUP = "minik-admin", "system:masters"
FRONT_PROXY = "front-proxy-client"
"""Whom aggregated API servers believe (`server/aggregation.py`)."""


class DataDirError(Exception):
    """The data directory cannot be used; says why."""


class ServerFiles:
    """Keys and certificates, made on first use and renewed when they are about to expire."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir
        self.pki = data_dir / "pki"

    def prepare(self, *, now: datetime, names: Iterable[str]) -> None:
        """Make what is missing. `names`: under which the server is reached. Raises DataDirError."""
        try:
            self.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
            ca = self._pair("ca", lambda: pki.new_ca(now=now), now=now)
            wanted = set(names)
            server = self._pair(
                "server", lambda: pki.new_server_certificate(ca, now=now, names=sorted(wanted)), now=now
            )
            if not wanted <= pki.names_of(server.certificate):
                wanted |= pki.names_of(server.certificate)
                self._store("server", pki.new_server_certificate(ca, now=now, names=sorted(wanted)))
            self._pair(
                "admin",
                lambda: pki.new_client_certificate(ca, now=now, user=ADMIN, groups=[ADMIN_GROUP]),
                now=now,
            )
            front_proxy = self._pair(
                "front-proxy-ca", lambda: pki.new_ca(now=now, common_name="front-proxy-ca"), now=now
            )
            self._pair(
                "front-proxy-client",
                lambda: pki.new_client_certificate(front_proxy, now=now, user=FRONT_PROXY),
                now=now,
            )
            if not self.signing_key_path.exists():
                write_private(self.signing_key_path, pki.new_signing_key())
        except OSError as error:
            raise DataDirError(f"cannot use {self.root} as data directory: {error.strerror}") from error

    def _pair(self, name: str, make: Callable[[], pki.KeyPair], *, now: datetime) -> pki.KeyPair:
        try:
            pair = self.pair(name)
            if pki.expires(pair.certificate) - now > RENEW_BEFORE:
                return pair
        except FileNotFoundError:
            pass
        pair = make()
        self._store(name, pair)
        return pair

    def _store(self, name: str, pair: pki.KeyPair) -> None:
        write_private(self.pki / f"{name}.key", pair.key)
        write_private(self.pki / f"{name}.crt", pair.certificate)

    def pair(self, name: str) -> pki.KeyPair:
        """Raises FileNotFoundError."""
        return pki.KeyPair((self.pki / f"{name}.crt").read_bytes(), (self.pki / f"{name}.key").read_bytes())

    @property
    def signing_key_path(self) -> Path:
        return self.pki / "sa.key"

    @property
    def kubeconfig_path(self) -> Path:
        return self.root / "admin.kubeconfig"

    def write_kubeconfig(self, server: str) -> None:
        """The administrator's kubeconfig for `server` (https://HOST:PORT)."""
        ca, admin = self.pair("ca"), self.pair("admin")
        content = yaml.safe_dump(kubeconfig(server, ca=ca.certificate, admin=admin), sort_keys=False).encode()
        if not self.kubeconfig_path.exists() or self.kubeconfig_path.read_bytes() != content:
            write_private(self.kubeconfig_path, content)


def kubeconfig(server: str, *, ca: bytes, admin: pki.KeyPair, name: str = "minik") -> dict[str, Any]:
    """A kubeconfig (client.config v1) with one cluster, one user and one context, all called `name`."""

    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": text(ca)}}],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": text(admin.certificate), "client-key-data": text(admin.key)},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def server_names(host: str, more: Iterable[str] = ()) -> list[str]:
    """Every name and address a client may reach the server by; `more`: such as only the user can know."""
    names = {
        "localhost", "127.0.0.1", "::1", socket.gethostname(), KUBERNETES_SERVICE_IP,
        "kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
    }  # fmt: skip
    if host not in ("0.0.0.0", "::"):
        names.add(host)
    if address := primary_address():
        names.add(address)
    names |= {*local_addresses(), *more}
    return sorted(n for n in names if n)


_LOCAL = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")


def local_addresses(table: Path = Path("/proc/self/net/fib_trie")) -> list[str]:
    """The IPv4 addresses of all interfaces of this host, as the kernel's routing table has them; minik's own are left out."""
    try:
        found = set(_LOCAL.findall(table.read_text()))
    except OSError:
        return []
    ours = [ipaddress.ip_network(cidr) for cidr in (CLUSTER_CIDR, SERVICE_CIDR)]
    return sorted(a for a in found if not any(ipaddress.ip_address(a) in net for net in ours))
