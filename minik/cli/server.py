"""`minik server`."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import click

from minik.cli.durations import parse_ttl
from minik.config import DEFAULT_PORT, AgentConfig, ServerConfig
from minik.paths import default_data_dir


@click.command("server")
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Where the cluster's state is kept.")
@click.option("--bind", default=f"0.0.0.0:{DEFAULT_PORT}", show_default=True, metavar="ADDR:PORT")
@click.option(
    "--tls-san",
    "tls_names",
    multiple=True,
    metavar="NAME",
    help="A further name or address clients reach the server by.",
)
@click.option("--no-agent", is_flag=True, help="Run the control plane only, without a node of its own.")
@click.option(
    "--docker",
    default="",
    metavar="URL",
    help="The Docker engine of the own node. [default: DOCKER_HOST or the local socket]",
)
@click.option(
    "--containers", type=click.Choice(["docker", "fake"]), default="docker", help="fake: simulated containers."
)
@click.option("--nodes", type=click.IntRange(1, 10_000), default=1, help="How many simulated nodes to run.")
@click.option("--node-name", default="", help="The own node's name. [default: the host's name]")
@click.option(
    "--history-age",
    default="1h",
    show_default=True,
    metavar="TIME",
    help="How long history is kept for `minik history`, `minik rewind` and watches that come back: 30m, 1h, 7d.",
)
@click.option(
    "--history-revisions",
    type=click.IntRange(1),
    default=250_000,
    show_default=True,
    metavar="NUMBER",
    help="How many writes of history are kept at most, but the last 5 minutes whatever their number.",
)
@click.option(
    "--scheduler-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    metavar="FILE",
    help="The scheduler's profiles and extenders: a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1).",
)
@click.option(
    "--controller",
    "controller_files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE.py",
    help="A controller of your own to run in this process (see minik.sdk); may be given several times.",
)
@click.option(
    "--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]), show_default=True
)
@click.option("--log-format", default="text", type=click.Choice(["text", "json"]), show_default=True)
def command(
    data_dir: Path | None,
    bind: str,
    tls_names: tuple[str, ...],
    no_agent: bool,
    docker: str,
    containers: Any,
    nodes: int,
    node_name: str,
    history_age: str,
    history_revisions: int,
    scheduler_config: Path | None,
    controller_files: tuple[Path, ...],
    log_level: str,
    log_format: Any,
) -> None:
    """Run the API server, the scheduler and all controllers over one SQLite file, and a node on this host's Docker."""
    from pydantic import ValidationError

    from minik import log
    from minik.cli.process import run_server

    if nodes != 1 and containers != "fake":
        raise click.UsageError("--nodes is for simulated nodes: use it with --containers fake")

    age = parse_ttl(history_age)
    if age is None:
        raise click.UsageError("--history-age: history cannot be kept for ever; say a time like 30m, 1h or 30d")
    root = (data_dir or default_data_dir()).absolute()
    log.setup(level=log_level, style=log_format)
    try:
        name = node_name or default_node_name()
        names = [] if no_agent else [name] if nodes == 1 else [f"{name}-{number}" for number in range(nodes)]
        agents = tuple(
            AgentConfig(name=name, data_dir=root / "agent", docker=docker, containers=containers) for name in names
        )
        config = ServerConfig(
            data_dir=root,
            bind=bind,
            tls_names=tls_names,
            agents=agents,
            history_age=age.total_seconds(),
            history_revisions=history_revisions,
            scheduler_config=scheduler_config,
        )
    except ValidationError as error:
        raise click.UsageError(
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        ) from None
    run_server(config, controller_files=controller_files)


def default_node_name() -> str:
    """The host's name as a node name: lower case, DNS characters only."""
    name = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")
    return name or "node"
