"""Docker Engine API (1.40 and later) as values: what minik asks as request bodies, what Docker answers as minik's types. Pure.

Used by `docker.py`. The rules that matter:
* A sandbox is created with `NetworkDisabled`: it gets an empty network namespace without Docker's own plumbing, which would cost as
  much as all the rest; `minik.agent.network` plumbs it. Containers join it with `container:<id>`.
* `Mounts`, never `Binds`: those create a missing source silently.
* Docker never restarts anything, and checks no health: both are the agent's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, cast

from minik.agent.containers.base import (
    ContainerInfo,
    ContainerSpec,
    EngineInfo,
    ImageFailure,
    ImageInfo,
    Limits,
    LogOptions,
    NoSuchContainer,
    RuntimeEvent,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxSpec,
    Security,
    StartFailure,
    State,
)
from minik.api.times import parse_time

Json = dict[str, Any]

NODE_LABEL = "minik.node"
LOG_CONFIG: Json = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}
"""As kubelet's containerLogMaxSize and containerLogMaxFiles."""
DETACH_KEYS = ",".join(["ctrl-@"] * 12)
"""Docker's own (ctrl-p, ctrl-q) would hold back every ctrl-p that a user types; nobody types this."""

_STATES: Mapping[str, State] = {
    "created": "created",
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "removing": "exited",
    "exited": "exited",
    "dead": "exited",
}
_EVENTS = ("start", "die", "oom", "destroy")
_UNAVAILABLE = re.compile(
    r"containerd.sock|transport is closing|connection error|grpc: the client connection|shutting down", re.IGNORECASE
)
_MISSING_COMMAND = re.compile(r"executable file not found|no such file or directory|not a directory", re.IGNORECASE)


# --- what is asked -------------------------------------------------------------------------------------------------------


def sandbox_body(spec: SandboxSpec, image: str) -> Json:
    """The body of `POST /containers/create` for a sandbox of pause image `image`."""
    host: Json = {
        "NetworkMode": "host" if spec.host_network else "none",
        "IpcMode": "host" if spec.host_ipc else "shareable",
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "none", "Config": {}},
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "Init": False,
    }
    if spec.host_pid:
        host["PidMode"] = "host"
    if spec.sysctls:
        host["Sysctls"] = dict(spec.sysctls)
    if spec.cgroup_parent:
        host["CgroupParent"] = spec.cgroup_parent
    if spec.runtime:
        host["Runtime"] = spec.runtime
    if spec.shm_size:
        host["ShmSize"] = spec.shm_size
    body: Json = {"Image": image, "Labels": dict(spec.labels), "HostConfig": host}
    if not spec.host_network:
        body["NetworkDisabled"] = True
    if spec.hostname:
        body["Hostname"] = spec.hostname
    return body


def container_body(spec: ContainerSpec) -> Json:
    """The body of `POST /containers/create` for a container that joins its sandbox.

    The network is joined also where it is the host's: so a container never starts beside a sandbox that is gone, and has its
    hostname."""
    joined = f"container:{spec.sandbox}"
    host: Json = {
        "NetworkMode": joined,
        "IpcMode": "host" if spec.host_ipc else joined,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": LOG_CONFIG,
        "Init": False,
        **limits_body(spec.limits),
        **_security(spec.security),
    }
    if spec.limits.oom_score_adj:
        host["OomScoreAdj"] = spec.limits.oom_score_adj
    if spec.host_pid:
        host["PidMode"] = "host"
    elif spec.share_pid:
        host["PidMode"] = joined
    elif spec.pid_of:
        host["PidMode"] = f"container:{spec.pid_of}"
    if spec.cgroup_parent:
        host["CgroupParent"] = spec.cgroup_parent
    if spec.runtime:
        host["Runtime"] = spec.runtime
    if spec.mounts:
        host["Mounts"] = [
            {
                "Type": "bind",
                "Source": mount.source,
                "Target": mount.target,
                "ReadOnly": mount.read_only,
                "BindOptions": {"Propagation": "rprivate" if mount.propagation == "private" else mount.propagation},
            }
            for mount in spec.mounts
        ]
    if spec.devices:
        host["Devices"] = [
            {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"} for path in spec.devices
        ]
    body: Json = {
        "Image": spec.image,
        "Labels": dict(spec.labels),
        "Env": [f"{name}={value}" for name, value in spec.env],
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin and spec.stdin_once,
        "AttachStdin": spec.stdin,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    if spec.command is not None:
        body["Entrypoint"] = list(spec.command)
    if spec.args is not None:
        body["Cmd"] = list(spec.args)
    if spec.working_dir:
        body["WorkingDir"] = spec.working_dir
    if spec.security.user:
        body["User"] = spec.security.user
    if spec.stop_signal:
        body["StopSignal"] = spec.stop_signal
    return body


def limits_body(limits: Limits) -> Json:
    """What a `HostConfig` and `POST /containers/{id}/update` take alike (the update cannot change `oom_score_adj`)."""
    body: Json = {}
    for key, value in (
        ("CpuShares", limits.cpu_shares),
        ("CpuQuota", limits.cpu_quota),
        ("CpuPeriod", limits.cpu_period),
        ("Memory", limits.memory),
        ("MemorySwap", limits.memory),  # memory and swap together: no swap
        ("MemoryReservation", limits.memory_reservation),
        ("PidsLimit", limits.pids),
    ):
        if value:
            body[key] = value
    return body


def _security(security: Security) -> Json:
    body: Json = {}
    options = []
    if security.no_new_privileges:
        options.append("no-new-privileges")
    if security.seccomp:
        options.append(f"seccomp={security.seccomp}")
    if security.apparmor:
        options.append(f"apparmor={security.apparmor}")
    if options:
        body["SecurityOpt"] = options
    if security.privileged:
        body["Privileged"] = True
    if security.cap_add:
        body["CapAdd"] = list(security.cap_add)
    if security.cap_drop:
        body["CapDrop"] = list(security.cap_drop)
    if security.read_only_root:
        body["ReadonlyRootfs"] = True
    if security.groups:
        body["GroupAdd"] = [str(group) for group in security.groups]
    return body


def log_query(options: LogOptions) -> dict[str, str]:
    """The parameters of `GET /containers/{id}/logs`."""
    query = {
        "stdout": str(int(options.stdout)),
        "stderr": str(int(options.stderr)),
        "follow": str(int(options.follow)),
        "timestamps": str(int(options.timestamps)),
    }
    if options.tail is not None:
        query["tail"] = str(options.tail)
    if options.since is not None:
        since = options.since.astimezone(UTC)
        query["since"] = f"{int(since.replace(microsecond=0).timestamp())}.{since.microsecond * 1000:09d}"
    return query


def with_tag(reference: str) -> str:
    """The reference with `:latest` where it says neither tag nor digest; without one Docker would pull every tag."""
    last = reference.rsplit("/", 1)[-1]
    return reference if ":" in last or "@" in last else f"{reference}:latest"


def login(reference: str, auth: Mapping[str, str]) -> Json:
    """What goes, as URL-safe base64 of JSON, into the header X-Registry-Auth."""
    return {"username": auth["username"], "password": auth["password"], "serveraddress": reference.partition("/")[0]}


# --- what is answered ----------------------------------------------------------------------------------------------------


def parse_state(text: str) -> State:
    return _STATES.get(text, "exited")


def _moment(text: str | None) -> datetime | None:
    """Docker writes year 1 for never."""
    return parse_time(text) if text and not text.startswith("0001-") else None


def parse_container(inspected: Mapping[str, Any]) -> ContainerInfo:
    """What `GET /containers/{id}/json` answers.

    Docker says OOMKilled also when only a child was killed and the main process went on to succeed; that is no OOM kill. And a
    container that ends at once may be said to have finished before it started."""
    state, config = inspected["State"], inspected["Config"]
    known = parse_state(state["Status"])
    code = int(state.get("ExitCode") or 0)
    started, finished = _moment(state.get("StartedAt")), None
    if known == "exited":
        finished = _moment(state.get("FinishedAt"))
        if started is not None and finished is not None:
            finished = max(started, finished)
    return ContainerInfo(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        labels=config.get("Labels") or {},
        state=known,
        image=config.get("Image", ""),
        image_id=inspected.get("Image", ""),
        pid=int(state.get("Pid") or 0) if known == "running" else 0,
        exit_code=code,
        oom_killed=bool(state.get("OOMKilled")) and code != 0 and known == "exited",
        error=state.get("Error") or "",
        created_at=_moment(inspected.get("Created")),
        started_at=started,
        finished_at=finished,
    )


def parse_image(found: Mapping[str, Any]) -> ImageInfo:
    """What `GET /images/{name}/json` answers, or one entry of `GET /images/json` (which has no config)."""
    config = found.get("Config") or {}
    return ImageInfo(
        id=found["Id"],
        tags=tuple(tag for tag in found.get("RepoTags") or () if tag != "<none>:<none>"),
        digests=tuple(digest for digest in found.get("RepoDigests") or () if digest != "<none>@<none>"),
        size=int(found.get("Size") or 0),
        user=config.get("User") or "",
        entrypoint=tuple(config.get("Entrypoint") or ()),
        cmd=tuple(config.get("Cmd") or ()),
        env=tuple(config.get("Env") or ()),
    )


def parse_engine(info: Mapping[str, Any]) -> EngineInfo:
    """What `GET /info` answers."""
    return EngineInfo(
        name="docker",
        version=info.get("ServerVersion", ""),
        os_image=info.get("OperatingSystem", ""),
        kernel=info.get("KernelVersion", ""),
        architecture=info.get("Architecture", ""),
        cpus=int(info.get("NCPU") or 0),
        memory=int(info.get("MemTotal") or 0),
        cgroup_driver=info.get("CgroupDriver", ""),
        root_dir=info.get("DockerRootDir", ""),
    )


def event_query(node: str, since: datetime) -> Json:
    """The filters and start of `GET /events`, before JSON: `filters` is to be encoded."""
    return {
        "since": f"{since.timestamp():.6f}",
        "filters": {"type": ["container"], "label": [f"{NODE_LABEL}={node}"], "event": list(_EVENTS)},
    }


def parse_event(message: Mapping[str, Any]) -> RuntimeEvent | None:
    """One message of the event stream; None for what says nothing of containers."""
    actor = message.get("Actor") or {}
    action = message.get("Action")
    if message.get("Type") != "container" or action not in _EVENTS:
        return None
    labels = {key: value for key, value in (actor.get("Attributes") or {}).items() if key.startswith("minik.")}
    kind = cast("Literal['start', 'die', 'oom', 'destroy']", action)
    return RuntimeEvent(kind=kind, container=actor.get("ID", ""), labels=labels)


# --- failures ------------------------------------------------------------------------------------------------------------


def failure(status: int, message: str) -> RuntimeFailure:
    """What an error answer of the engine means. `status` 900 is aiodocker's for no connection."""
    text = message.strip() or f"the container engine answered {status}"
    if status in (900, 503) or (status == 500 and _UNAVAILABLE.search(text)):
        return RuntimeUnavailable(text)
    if status == 404:
        if "image" in text.lower():
            return ImageFailure("ErrImagePull", text)
        return NoSuchContainer(text)
    if status == 400 and "invalid reference format" in text:
        return ImageFailure("InvalidImageName", text)
    return RuntimeFailure(text)


def pull_failure(message: str) -> ImageFailure:
    """Why an image could not be pulled."""
    return ImageFailure("InvalidImageName" if "invalid reference format" in message else "ErrImagePull", message)


def start_failure(status: int, message: str, info: ContainerInfo) -> RuntimeFailure:
    """Why a container did not start: `info` is what it looks like after it.

    Docker answers 400 for a command that cannot be run, 500 for the rest of what the runtime below it refuses, and notes both in
    the container, with exit code 126, 127 or 128. What it refuses before that (409: the sandbox does not run) is no attempt."""
    otherwise = failure(status, message)
    is_attempt = status == 400 or (status == 500 and info.error and not isinstance(otherwise, RuntimeUnavailable))
    if not is_attempt or info.state != "created":
        return otherwise
    code = info.exit_code or (127 if _MISSING_COMMAND.search(message) else 128)
    return StartFailure(message, code)
