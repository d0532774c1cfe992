"""`minik agent`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from minik.cli.server import default_node_name
from minik.config import AgentConfig
from minik.paths import default_data_dir


@click.command("agent")
@click.option(
    "--join", "server", default="", metavar="https://HOST:PORT", help="The server to join. Needed the first time."
)
@click.option("--token", default="", help="What `minik token create` printed on the server. Needed the first time.")
@click.option(
    "--docker", default="", metavar="URL", help="The Docker engine. [default: DOCKER_HOST or the local socket]"
)
@click.option("--name", default="", help="The node's name. [default: the host's name]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None, help="Where the node keeps its identity and pods."
)
@click.option(
    "--node-ip",
    default="",
    help="The address other nodes reach this one by. [default: that of the route to the server]",
)
@click.option(
    "--containers", type=click.Choice(["docker", "fake"]), default="docker", help="fake: simulated containers."
)
@click.option(
    "--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]), show_default=True
)
@click.option("--log-format", default="text", type=click.Choice(["text", "json"]), show_default=True)
def command(
    server: str,
    token: str,
    docker: str,
    name: str,
    data_dir: Path | None,
    node_ip: str,
    containers: Any,
    log_level: str,
    log_format: Any,
) -> None:
    """Run a worker node. It dials the server; no port has to be open on this host.

    The first start needs --join and --token; later ones find the identity in the data directory.
    """
    from pydantic import ValidationError

    from minik import log
    from minik.cli.process import run_agent

    log.setup(level=log_level, style=log_format)
    if server and not server.startswith("https://"):
        raise click.UsageError("--join wants https://HOST:PORT")
    try:
        config = AgentConfig(
            name=name or default_node_name(),
            data_dir=(data_dir or default_data_dir() / "agent").absolute(),
            docker=docker,
            containers=containers,
            node_ip=node_ip,
            server=server.rstrip("/"),
            token=token,
        )
    except ValidationError as error:
        raise click.UsageError(
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        ) from None
    run_agent(config)
