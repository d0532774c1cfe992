"""`ContainerRuntime`: all that the agent wants of a container engine.

Written from the agent's side; `docker.py` and `fake.py` implement it and pass one contract suite
(`tests/contract/test_container_runtime.py`). Pods are the agent's business: here are sandboxes (a network namespace held by a
pause process) and containers that join one.

    RuntimeFailure            message is for a person and for Events
    ├── ImageFailure          reason: ErrImagePull, InvalidImageName, ErrImageNeverPull, …
    ├── StartFailure          the container exists but its command cannot start; exit_code 126, 127 or 128
    ├── NoSuchContainer
    └── RuntimeUnavailable    the engine does not answer; try again later
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol


class RuntimeFailure(Exception):
    """Base of all failures of a container runtime."""


class ImageFailure(RuntimeFailure):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StartFailure(RuntimeFailure):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NoSuchContainer(RuntimeFailure):
    pass


class RuntimeUnavailable(RuntimeFailure):
    pass


State = Literal["created", "running", "exited"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A bind of a host path, which must exist."""

    source: str
    target: str
    read_only: bool = False
    propagation: Literal["private", "rslave", "rshared"] = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """0 means not set. `cpu_period` and `cpu_quota` in microseconds, memory in bytes."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    memory: int = 0
    memory_reservation: int = 0
    pids: int = 0
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    user: str = ""
    """`uid`, `uid:gid` or "" for the image's."""
    groups: Sequence[int] = ()
    privileged: bool = False
    cap_add: Sequence[str] = ()
    cap_drop: Sequence[str] = ()
    read_only_root: bool = False
    no_new_privileges: bool = False
    seccomp: str = ""
    """"" for the engine's default, `unconfined`, or a profile as JSON."""
    apparmor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """A pod's sandbox. `host_network` joins the host's network namespace; otherwise the sandbox has an empty one of its own."""

    name: str
    """Unique on the engine and deterministic, so that a repeated create finds what is there."""
    labels: Mapping[str, str]
    hostname: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str = ""
    shm_size: int = 0
    runtime: str = ""
    """Which of the engine's runtimes; "" is the usual one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container that joins the sandbox with engine id `sandbox`."""

    name: str
    image: str
    """A reference or an image id as `ImageInfo.id` gives it."""
    sandbox: str
    labels: Mapping[str, str]
    command: Sequence[str] | None = None
    """Replaces the image's ENTRYPOINT (and then its CMD is dropped); None keeps it."""
    args: Sequence[str] | None = None
    """Replaces the image's CMD; None keeps it (unless `command` is given)."""
    env: Sequence[tuple[str, str]] = ()
    working_dir: str = ""
    mounts: Sequence[Mount] = ()
    limits: Limits = Limits()
    security: Security = Security()
    share_pid: bool = False
    """Join the sandbox's PID namespace."""
    pid_of: str = ""
    """Join that of the container with this engine id."""
    host_pid: bool = False
    host_ipc: bool = False
    host_network: bool = False
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    cgroup_parent: str = ""
    devices: Sequence[str] = ()
    stop_signal: str = ""
    runtime: str = ""
    """That of the sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInfo:
    """A sandbox or container as the engine has it."""

    id: str
    name: str
    labels: Mapping[str, str]
    state: State
    image: str = ""
    image_id: str = ""
    pid: int = 0
    """0 unless running."""
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    """Why it could not start, as the engine says."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    engine: str = "docker"
    """`name` of the engine's EngineInfo."""

    @property
    def uri(self) -> str:
        """`containerID` of a container's status."""
        return f"{self.engine}://{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """A local image. `id` is `sha256:…`; `digests` are repository digests (`repo@sha256:…`), none for images never pulled."""

    id: str
    tags: Sequence[str] = ()
    digests: Sequence[str] = ()
    size: int = 0
    user: str = ""
    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEvent:
    """A hint that something of this node happened. `resync` means that events may have been missed: list again."""

    kind: Literal["start", "die", "oom", "destroy", "resync"]
    container: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """`since` is inclusive. `tail` None: all lines."""

    follow: bool = False
    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    stdout: bool = True
    stderr: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What the node reports of its engine."""

    name: str
    version: str
    os_image: str = ""
    kernel: str = ""
    architecture: str = ""
    cpus: int = 0
    memory: int = 0
    cgroup_driver: str = ""
    root_dir: str = ""


class Session(Protocol):
    """A running exec or attach: two output streams, an input stream, and an exit code."""

    def output(self) -> AsyncIterator[tuple[Literal[1, 2], bytes]]:
        """(1 for stdout or 2 for stderr, bytes) until both ended. With a TTY everything is stdout."""
        ...

    async def write(self, data: bytes) -> None:
        """To stdin; returns when the engine has taken it. Raises ConnectionError when the command takes nothing any more."""
        ...

    async def close_stdin(self) -> None:
        """Half-close: output still arrives."""
        ...

    async def resize(self, width: int, height: int) -> None:
        """Of the terminal, in characters. A command that has ended cannot be resized; that is no failure."""
        ...

    async def exit_code(self) -> int | None:
        """After the output has ended: the command's exit code (None for an attach whose container still runs)."""
        ...

    async def close(self) -> None: ...


class ContainerRuntime(Protocol):
    """A container engine. All it makes carries the labels it was given; it lists and watches only what carries this node's label
    (`minik.node=<name>`, given when it is made)."""

    async def info(self) -> EngineInfo: ...

    async def list(self) -> Sequence[ContainerInfo]:
        """Every sandbox and container of this node, running or not. Exit codes and times are those `inspect` gives for the
        ones that are not running."""
        ...

    async def inspect(self, container: str) -> ContainerInfo: ...

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Hints, for ever; begins with a `resync`, and gives one after each reconnect. Never raises for an engine that is away."""
        ...

    async def run_sandbox(self, spec: SandboxSpec) -> ContainerInfo:
        """Create and start. If one of this name exists it is started if need be and returned."""
        ...

    async def create_container(self, spec: ContainerSpec) -> ContainerInfo:
        """Create, do not start. If one of this name exists it is returned as it is. Raises ImageFailure when the image is not there."""
        ...

    async def start(self, container: str) -> ContainerInfo:
        """Raises StartFailure when its command cannot be started."""
        ...

    async def stop(self, container: str, grace: float, *, signal: str = "") -> None:
        """Signal (SIGTERM or the image's), wait up to `grace` seconds, SIGKILL. One that is stopped or gone is fine."""
        ...

    async def remove(self, container: str) -> None:
        """Kill and delete with its anonymous volumes. One that is gone is fine."""
        ...

    async def exec(
        self, container: str, command: Sequence[str], *, stdin: bool = False, tty: bool = False,
        size: tuple[int, int] | None = None,
    ) -> Session: ...  # fmt: skip

    async def attach(self, container: str, *, stdin: bool, tty: bool) -> Session: ...

    def logs(self, container: str, options: LogOptions) -> AsyncIterator[tuple[Literal[1, 2], bytes]]:
        """(stream, bytes as written; with `timestamps` each line begins with an RFC 3339 time and a space)."""
        ...

    async def image(self, reference: str) -> ImageInfo | None:
        """The local image, or None."""
        ...

    async def images(self) -> Sequence[ImageInfo]: ...

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> ImageInfo:
        """Fetch from its registry. `auth`: {"username", "password"}. Raises ImageFailure."""
        ...

    async def load(self, archive: bytes) -> None:
        """Load an image archive (`docker save` format)."""
        ...

    async def update_limits(self, container: str, limits: Limits) -> None: ...

    async def close(self) -> None: ...
