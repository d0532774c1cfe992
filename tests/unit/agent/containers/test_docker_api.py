"""What Docker is asked and what its answers mean, as pairs."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import pytest

from minik.agent.containers import docker_api as api
from minik.agent.containers.base import (
    ContainerInfo,
    ContainerSpec,
    ImageFailure,
    Limits,
    LogOptions,
    Mount,
    NoSuchContainer,
    RuntimeEvent,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxSpec,
    Security,
    StartFailure,
)
from minik.agent.containers.docker_streams import Chunk, Frames

LABELS = {"minik.node": "n1"}


def test_sandbox() -> None:
    spec = SandboxSpec(
        name="s", labels=LABELS, hostname="web-0", sysctls={"net.core.somaxconn": "9"}, cgroup_parent="/p"
    )
    assert api.sandbox_body(spec, "pause") == {
        "Image": "pause",
        "Labels": LABELS,
        "Hostname": "web-0",
        "NetworkDisabled": True,
        "HostConfig": {
            "NetworkMode": "none",
            "IpcMode": "shareable",
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "none", "Config": {}},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
            "Init": False,
            "Sysctls": {"net.core.somaxconn": "9"},
            "CgroupParent": "/p",
        },
    }


def test_sandbox_in_the_hosts_namespaces() -> None:
    spec = SandboxSpec(name="s", labels={}, host_network=True, host_pid=True, host_ipc=True)
    body = api.sandbox_body(spec, "pause")
    host = body["HostConfig"]
    assert (host["NetworkMode"], host["PidMode"], host["IpcMode"]) == ("host", "host", "host")
    assert "NetworkDisabled" not in body and "Hostname" not in body


def test_the_runtime_of_a_pod() -> None:
    sandbox = api.sandbox_body(SandboxSpec(name="s", labels={}, runtime="runsc"), "pause")
    container = api.container_body(ContainerSpec(name="c", image="i", sandbox="s", labels={}, runtime="runsc"))
    assert sandbox["HostConfig"]["Runtime"] == container["HostConfig"]["Runtime"] == "runsc"


def test_plain_container() -> None:
    spec = ContainerSpec(name="c", image="sha256:1", sandbox="s1", labels=LABELS)
    assert api.container_body(spec) == {
        "Image": "sha256:1",
        "Labels": LABELS,
        "Env": [],
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": "container:s1",
            "IpcMode": "container:s1",
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}},
            "Init": False,
        },
    }


def test_container_with_everything() -> None:
    spec = ContainerSpec(
        name="c",
        image="i",
        sandbox="s1",
        labels=LABELS,
        command=["sh", "-c"],
        args=["true"],
        env=[("A", "1=2"), ("B", "")],
        working_dir="/w",
        mounts=[Mount(source="/h", target="/t", read_only=True), Mount(source="/h2", target="/t2", propagation="rslave")],
        limits=Limits(
            cpu_shares=512, cpu_quota=50_000, cpu_period=100_000, memory=1 << 20, memory_reservation=1 << 19, pids=7,
            oom_score_adj=1000,
        ),
        security=Security(
            user="1:2", groups=[3, 4], privileged=True, cap_add=["NET_ADMIN"], cap_drop=["ALL"], read_only_root=True,
            no_new_privileges=True, seccomp='{"a":1}', apparmor="profile",
        ),
        share_pid=True,
        tty=True,
        stdin=True,
        stdin_once=True,
        cgroup_parent="/p",
        devices=["/dev/kvm"],
        stop_signal="SIGUSR1",
    )  # fmt: skip
    body = api.container_body(spec)
    host = body.pop("HostConfig")
    assert body == {
        "Image": "i",
        "Labels": LABELS,
        "Entrypoint": ["sh", "-c"],
        "Cmd": ["true"],
        "Env": ["A=1=2", "B="],
        "WorkingDir": "/w",
        "User": "1:2",
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "StopSignal": "SIGUSR1",
        "Healthcheck": {"Test": ["NONE"]},
    }
    assert host == {
        "NetworkMode": "container:s1",
        "IpcMode": "container:s1",
        "PidMode": "container:s1",
        "RestartPolicy": {"Name": "no"},
        "LogConfig": api.LOG_CONFIG,
        "Init": False,
        "CgroupParent": "/p",
        "CpuShares": 512,
        "CpuQuota": 50_000,
        "CpuPeriod": 100_000,
        "Memory": 1 << 20,
        "MemorySwap": 1 << 20,
        "MemoryReservation": 1 << 19,
        "PidsLimit": 7,
        "OomScoreAdj": 1000,
        "Privileged": True,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["ALL"],
        "ReadonlyRootfs": True,
        "GroupAdd": ["3", "4"],
        "SecurityOpt": ["no-new-privileges", 'seccomp={"a":1}', "apparmor=profile"],
        "Devices": [{"PathOnHost": "/dev/kvm", "PathInContainer": "/dev/kvm", "CgroupPermissions": "rwm"}],
        "Mounts": [
            {
                "Type": "bind",
                "Source": "/h",
                "Target": "/t",
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rprivate"},
            },
            {
                "Type": "bind",
                "Source": "/h2",
                "Target": "/t2",
                "ReadOnly": False,
                "BindOptions": {"Propagation": "rslave"},
            },
        ],
    }


@pytest.mark.parametrize(
    ("share", "host_pid", "host_ipc", "pid_mode", "ipc_mode"),
    [
        (False, False, False, None, "container:s"),
        (True, False, False, "container:s", "container:s"),
        (False, True, True, "host", "host"),
    ],
)
def test_namespaces(share: bool, host_pid: bool, host_ipc: bool, pid_mode: str | None, ipc_mode: str) -> None:
    spec = ContainerSpec(
        name="c",
        image="i",
        sandbox="s",
        labels={},
        share_pid=share,
        host_pid=host_pid,
        host_ipc=host_ipc,
        host_network=True,
    )
    host = api.container_body(spec)["HostConfig"]
    assert (host.get("PidMode"), host["IpcMode"], host["NetworkMode"]) == (pid_mode, ipc_mode, "container:s")


def test_the_processes_of_another_container() -> None:
    spec = ContainerSpec(name="debugger", image="i", sandbox="s", labels={}, pid_of="c")
    assert api.container_body(spec)["HostConfig"]["PidMode"] == "container:c"


def test_log_query() -> None:
    options = LogOptions(
        follow=True, tail=0, since=datetime(2026, 1, 1, 0, 0, 0, 123456, UTC), timestamps=True, stderr=False
    )
    assert api.log_query(options) == {
        "stdout": "1", "stderr": "0", "follow": "1", "timestamps": "1", "tail": "0", "since": "1767225600.123456000",
    }  # fmt: skip
    assert "tail" not in api.log_query(LogOptions())


@pytest.mark.parametrize(
    ("reference", "tagged"),
    [
        ("busybox", "busybox:latest"),
        ("host:5000/a/b", "host:5000/a/b:latest"),
        ("host:5000/a/b:1", "host:5000/a/b:1"),
        ("a@sha256:00", "a@sha256:00"),
    ],
)
def test_with_tag(reference: str, tagged: str) -> None:
    assert api.with_tag(reference) == tagged


def inspected(**state: Any) -> dict[str, Any]:
    return {
        "Id": "c1",
        "Name": "/mk_app",
        "Created": "2026-01-01T00:00:00.123456789Z",
        "Image": "sha256:1",
        "Config": {"Image": "busybox", "Labels": LABELS},
        "State": {
            "Status": "exited",
            "Pid": 0,
            "ExitCode": 0,
            "OOMKilled": False,
            "Error": "",
            "StartedAt": "2026-01-01T00:00:01Z",
            "FinishedAt": "2026-01-01T00:00:02Z",
            **state,
        },
    }


def test_container() -> None:
    assert api.parse_container(inspected(ExitCode=3)) == ContainerInfo(
        id="c1",
        name="mk_app",
        labels=LABELS,
        state="exited",
        image="busybox",
        image_id="sha256:1",
        exit_code=3,
        created_at=datetime(2026, 1, 1, 0, 0, 0, 123456, UTC),
        started_at=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
        finished_at=datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC),
    )


def test_running_container_has_not_finished() -> None:
    info = api.parse_container(inspected(Status="running", Pid=9, FinishedAt="2025-01-01T00:00:00Z"))
    assert (info.state, info.pid, info.finished_at) == ("running", 9, None)


def test_year_one_is_never() -> None:
    never = "0001-01-01T00:00:00Z"
    info = api.parse_container(
        inspected(Status="created", StartedAt=never, FinishedAt=never, Error="why", ExitCode=127)
    )
    assert (info.started_at, info.finished_at, info.error, info.exit_code) == (None, None, "why", 127)


def test_end_is_never_before_the_start() -> None:
    info = api.parse_container(inspected(StartedAt="2026-01-01T00:00:01.5Z", FinishedAt="2026-01-01T00:00:01.4Z"))
    assert info.finished_at == info.started_at


@pytest.mark.parametrize(("code", "killed"), [(137, True), (0, False)])
def test_oom_of_a_child_alone_is_none(code: int, killed: bool) -> None:
    assert api.parse_container(inspected(OOMKilled=True, ExitCode=code)).oom_killed is killed


def test_image() -> None:
    found = {
        "Id": "sha256:1",
        "RepoTags": ["a:1", "<none>:<none>"],
        "RepoDigests": None,
        "Size": 5,
        "Config": {"User": "1000", "Entrypoint": None, "Cmd": ["sh"], "Env": ["A=1"]},
    }
    image = api.parse_image(found)
    assert (image.tags, image.digests, image.user, image.entrypoint, image.cmd) == (("a:1",), (), "1000", (), ("sh",))


def test_event() -> None:
    attributes = {"minik.pod.uid": "u", "name": "mk_app", "exitCode": "0", "image": "i"}
    message = {"Type": "container", "Action": "die", "Actor": {"ID": "c1", "Attributes": attributes}}
    assert api.parse_event(message) == RuntimeEvent(kind="die", container="c1", labels={"minik.pod.uid": "u"})
    assert api.parse_event({**message, "Action": "exec_create: true"}) is None
    assert api.parse_event({**message, "Type": "image"}) is None


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (900, "Cannot connect", RuntimeUnavailable),
        (500, "dial unix /run/containerd/containerd.sock: connect: refused", RuntimeUnavailable),
        (404, "No such image: x:1", ImageFailure),
        (404, "No such container: x", NoSuchContainer),
        (400, "invalid reference format", ImageFailure),
        (409, "cannot join network of a non running container", RuntimeFailure),
    ],
)
def test_failures(status: int, message: str, kind: type[RuntimeFailure]) -> None:
    assert type(api.failure(status, message)) is kind


def test_reasons_of_image_failures() -> None:
    assert api.pull_failure("invalid reference format").reason == "InvalidImageName"
    assert api.pull_failure("manifest for x:1 not found: manifest unknown").reason == "ErrImagePull"


@pytest.mark.parametrize(
    ("status", "message", "error", "noted", "code"),
    [
        (400, "exec: nope: executable file not found in $PATH", "exec: …", 127, 127),
        (400, "permission denied", "permission denied", 126, 126),
        (400, "stat /nope: no such file or directory", "", 0, 127),
        (500, "unable to find user nobody2", "unable to find user nobody2", 128, 128),
        (500, "something in the engine", "", 0, None),
        (409, "cannot join network of a non running container", "cannot join …", 128, None),
    ],
)
def test_start_failures(status: int, message: str, error: str, noted: int, code: int | None) -> None:
    info = api.parse_container(inspected(Status="created", Error=error, ExitCode=noted))
    failure = api.start_failure(status, message, info)
    if code is None:
        assert type(failure) is RuntimeFailure
    else:
        assert isinstance(failure, StartFailure) and failure.exit_code == code


# --- frames ---------------------------------------------------------------------------------------------------------------


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def test_frames_arrive_in_any_pieces() -> None:
    wire = frame(1, b"one\n") + frame(1, b"two\n") + frame(2, b"bad\n") + frame(1, b"") + frame(1, b"three\n")
    assert Frames().feed(wire) == [(1, b"one\ntwo\n"), (2, b"bad\n"), (1, b"three\n")]
    frames, found = Frames(), list[Chunk]()
    for i in range(len(wire)):
        found += frames.feed(wire[i : i + 1])
    assert found == [(1, b"one\n"), (1, b"two\n"), (2, b"bad\n"), (1, b"three\n")]


def test_a_line_that_the_engine_cut_is_dated_once() -> None:
    wire = frame(1, b"T1 aaa") + frame(2, b"T2 err\n") + frame(1, b"T3 bbb\n") + frame(1, b"T4 ccc\n")
    assert Frames(dated=True).feed(wire) == [(1, b"T1 aaa"), (2, b"T2 err\n"), (1, b"bbb\nT4 ccc\n")]
    assert Frames().feed(wire)[0] == (1, b"T1 aaa")
