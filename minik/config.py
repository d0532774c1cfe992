"""Settings of the two long-running commands, checked once at start-up, and the shape of join tokens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from minik.paths import default_data_dir

DEFAULT_PORT = 6443
CLUSTER_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"

ContainerBackend = Literal["docker", "fake"]

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})(?::(sha256:[0-9a-f]{64}))?")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentConfig(_Settings):
    """`minik agent`, and the server's own node."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)
    data_dir: Path
    docker: str = ""
    """The engine's URL; "" for DOCKER_HOST or the default socket."""
    containers: ContainerBackend = "docker"
    node_ip: str = ""
    """The address other nodes reach this one by; "" to find it from the route to the server."""
    server: str = ""
    """https://HOST:PORT of the server to join; "" for the one in this process."""
    token: str = ""


class ServerConfig(_Settings):
    """`minik server`."""

    data_dir: Path = Field(default_factory=default_data_dir)
    bind: str = f"0.0.0.0:{DEFAULT_PORT}"
    tls_names: tuple[str, ...] = ()
    """Further names and addresses the server is reached by, for its certificate."""
    agents: tuple[AgentConfig, ...] = ()
    """The nodes of its own process: normally one, none without, many only if they are simulated."""

    scheduler_config: Path | None = None
    """A KubeSchedulerConfiguration."""

    history_age: float = Field(default=3600.0, gt=0)
    """For how many seconds the store keeps history."""
    history_revisions: int = Field(default=250_000, gt=0)
    """How many revisions of history the store keeps, at most; but those of the last five minutes it keeps in any case."""

    @field_validator("bind")
    @classmethod
    def _bind_has_port(cls, value: str) -> str:
        host, port = split_address(value)
        return join_address(host, port)

    @property
    def cluster_cidr(self) -> str:
        """Where nodes' ranges of pod addresses come from: room for 256 nodes, or for 32,768 simulated ones."""
        return CLUSTER_CIDR if len(self.agents) < 200 else "10.128.0.0/9"

    @property
    def address(self) -> tuple[str, int]:
        return split_address(self.bind)


def split_address(text: str) -> tuple[str, int]:
    """`ADDR:PORT`, `:PORT`, `ADDR` or `[V6]:PORT` → (address, port). Raises ValueError."""
    match = re.fullmatch(r"(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?", text)
    if match is None:
        raise ValueError(f"{text!r} is not ADDRESS:PORT")
    port = int(match[3]) if match[3] else DEFAULT_PORT
    if port > 65535:
        raise ValueError(f"{port} is not a port number")
    return match[1] or match[2] or "0.0.0.0", port


def join_address(host: str, port: int) -> str:
    """The inverse of `split_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class JoinToken(_Settings):
    """What `minik token create` prints: a bootstrap token (KEP: kubeadm's `id.secret`) and the pin of the cluster's CA.

    Text form: `abcdef.0123456789abcdef:sha256:<hex of the CA's public key>`.
    """

    id: str
    secret: str
    ca_hash: str = ""

    @property
    def bearer(self) -> str:
        """What goes into the Authorization header."""
        return f"{self.id}.{self.secret}"

    def __str__(self) -> str:
        return f"{self.bearer}:{self.ca_hash}" if self.ca_hash else self.bearer


def parse_token(text: str) -> JoinToken:
    """Raises ValueError for anything that is not a join token."""
    match = _TOKEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            "a join token looks like abcdef.0123456789abcdef:sha256:<64 hex digits>; see `minik token create`"
        )
    return JoinToken(id=match[1], secret=match[2], ca_hash=match[3] or "")
