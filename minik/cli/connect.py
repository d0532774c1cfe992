"""Commands that talk to a running server, as its administrator: through the kubeconfig in its data directory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from minik import pki
from minik.api.builtin import builtin_registry
from minik.cli.files import ServerFiles
from minik.client.client import Client
from minik.client.transport_http import HttpTransport, client_ssl
from minik.paths import default_data_dir


@dataclass(frozen=True, slots=True)
class Admin:
    """The administrator's connection."""

    client: Client
    server: str
    ca_hash: str


@contextlib.asynccontextmanager
async def connect(data_dir: Path | None) -> AsyncIterator[Admin]:
    """Connect to the server of a data directory. Raises click.ClickException if there is none."""
    files = ServerFiles(data_dir or default_data_dir())
    try:
        config = yaml.safe_load(files.kubeconfig_path.read_text())
        ca = files.pair("ca").certificate
    except FileNotFoundError:
        raise click.ClickException(
            f"there is no server in {files.root}: run `minik server` first, or name its --data-dir"
        ) from None
    except PermissionError:
        raise click.ClickException(f"{files.root} belongs to another user; try with sudo") from None
    server = config["clusters"][0]["cluster"]["server"]
    context = client_ssl(ca=ca, certificate=files.pki / "admin.crt", key=files.pki / "admin.key")
    transport = HttpTransport(server, ssl_context=context)
    try:
        yield Admin(Client(transport, builtin_registry()), server, pki.ca_hash(ca))
    finally:
        await transport.close()
