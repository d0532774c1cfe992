"""What the server asks of an agent over a stream. Requests about a pod name it by uid, so that a namesake is never met."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

STDIN, STDOUT, STDERR, ERROR, RESIZE = 0, 1, 2, 3, 4
"""Channels of exec and attach, numbered as in Kubernetes' own channel protocol. ERROR carries a `Status` as JSON at the end, RESIZE
`{"Width": columns, "Height": rows}`. Logs use STDOUT alone; a port-forward stream uses STDIN (to the pod) and STDOUT (from it)."""


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str
    pod: str
    uid: str


class LogRequest(_Request):
    type: Literal["log"] = "log"
    container: str
    follow: bool = False
    previous: bool = False
    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None
    stream: Literal["All", "Stdout", "Stderr"] = "All"


class ExecRequest(_Request):
    type: Literal["exec"] = "exec"
    container: str
    command: list[str]
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class AttachRequest(_Request):
    type: Literal["attach"] = "attach"
    container: str
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class PortForwardRequest(_Request):
    """One TCP connection to a port of the pod, made inside it: to 127.0.0.1, or to the pod's own `address`."""

    type: Literal["portforward"] = "portforward"
    port: int = Field(ge=1, le=65535)
    address: str = "127.0.0.1"


class StatsRequest(BaseModel):
    """What the node and its containers use: one `samples.NodeSample` on STDOUT. Of no pod in particular."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["stats"] = "stats"


LinkRequest: TypeAlias = Annotated[
    LogRequest | ExecRequest | AttachRequest | PortForwardRequest | StatsRequest, Field(discriminator="type")
]

_adapter: TypeAdapter[LinkRequest] = TypeAdapter(LinkRequest)


def parse_request(payload: bytes) -> LinkRequest:
    """Raises pydantic.ValidationError (a ValueError)."""
    return _adapter.validate_json(payload)
