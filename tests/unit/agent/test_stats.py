"""What is used, from cgroup files: v1, v2 and both at once, and containers that end meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from minik.agent.containers.base import ContainerInfo
from minik.agent.containers.fake import FakeRuntime
from minik.agent.containers.fake_script import Load, interpret
from minik.agent.observe import Observations
from minik.agent.stats import CgroupUsage, Stats, cgroup_mounts, parse_cgroup
from minik.clock import Entropy, LoopClock
from minik.link.samples import ContainerSample, NodeSample, Usage, decode_sample, encode_sample

ID = "0123456789abcdef" * 4
V1_MOUNTS = """\
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
proc /proc proc rw 0 0
"""
V2_MOUNTS = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def host(root: Path, mounts: str, groups: str) -> None:
    write(root / "proc/self/mounts", mounts)
    write(root / "proc/42/cgroup", groups)
    write(root / "proc/stat", "cpu  100 10 50 9999 77 3 7 0 0 0\ncpu0 1 1 1 1 1 1 1\n")
    write(root / "proc/meminfo", "MemTotal:  1000 kB\nMemFree:  300 kB\nInactive(file):  200 kB\nHugePages_Total: 0\n")


def v1(root: Path) -> None:
    group = f"/minik/{ID}"
    host(root, V1_MOUNTS, f"4:memory:{group}\n3:cpu,cpuacct:{group}\n1:name=systemd:{group}\n0::/elsewhere\n")
    write(root / f"sys/fs/cgroup/cpu,cpuacct{group}/cpuacct.usage", "123456789\n")
    write(root / f"sys/fs/cgroup/memory{group}/memory.usage_in_bytes", "5000\n")
    write(root / f"sys/fs/cgroup/memory{group}/memory.stat", "inactive_file 1\ntotal_inactive_file 1000\n")


def v2(root: Path) -> None:
    group = f"/system.slice/docker-{ID}.scope"
    host(root, V2_MOUNTS, f"0::{group}\n")
    write(root / f"sys/fs/cgroup{group}/cpu.stat", "usage_usec 123456\nuser_usec 1\n")
    write(root / f"sys/fs/cgroup{group}/memory.current", "5000\n")
    write(root / f"sys/fs/cgroup{group}/memory.stat", "anon 3\ninactive_file 1000\n")


def info(pid: int = 42, container: str = ID) -> ContainerInfo:
    return ContainerInfo(id=container, name="c", labels={}, state="running", pid=pid)


async def test_v1(tmp_path: Path) -> None:
    v1(tmp_path)
    assert await CgroupUsage(tmp_path).usage([info()]) == {ID: Usage(123456789, 4000)}


async def test_v2(tmp_path: Path) -> None:
    v2(tmp_path)
    assert await CgroupUsage(tmp_path).usage([info()]) == {ID: Usage(123456000, 4000)}


async def test_what_ended_is_left_out(tmp_path: Path) -> None:
    v1(tmp_path)
    reader = CgroupUsage(tmp_path)
    gone = info(pid=43, container="b" * 64)
    taken_over = info(container="c" * 64)
    assert set(await reader.usage([gone, info(), taken_over])) == {ID}
    (tmp_path / f"sys/fs/cgroup/memory/minik/{ID}/memory.stat").unlink()
    assert await reader.usage([info()]) == {}


async def test_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    v2(tmp_path)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    assert await CgroupUsage(tmp_path).host() == Usage(170 * 10_000_000, 500 * 1024)


def test_parsing() -> None:
    assert cgroup_mounts("cgroup /a\\040b cgroup rw,memory 0 0\n")["memory"] == Path("/a b")
    assert parse_cgroup("2:cpu,cpuacct:/x:y\n0::/z\n") == {"cpu": "/x:y", "cpuacct": "/x:y", "": "/z"}


async def test_this_process_can_be_measured() -> None:
    used = await CgroupUsage().host()
    assert used.cpu > 0
    assert used.memory > 1 << 20


def test_samples_go_over_the_wire() -> None:
    now = datetime(2026, 1, 1, 0, 0, 1, 5, tzinfo=UTC)
    sample = NodeSample(now, Usage(1, 2), (ContainerSample("u", "c", now, Usage(3, 4)),))
    assert decode_sample(encode_sample(sample)) == sample
    for bad in (b"", b"[]", b'{"time": 1}', b'{"time":"2026-01-01","node":[1],"containers":[]}'):
        with pytest.raises(ValueError):  # of whichever layer finds out
            decode_sample(bad)


def test_loads_are_commands() -> None:
    assert interpret(["load", "250m", "64Mi"]).load == Load(250, 64 << 20)
    assert interpret(["sh", "-c", "echo x; load 2"]).load == Load(2000)
    assert interpret(["load", "much"]).load == Load()
    assert interpret(["load"]).seconds is None


@pytest.mark.looptime
async def test_simulated_use() -> None:
    import asyncio

    from minik.agent import names
    from minik.agent.containers.base import ContainerSpec, SandboxSpec

    clock = LoopClock()
    runtime = FakeRuntime("n", clock=clock, entropy=Entropy(1))
    labels = {names.UID: "u", names.CONTAINER: "c", names.KIND: "container"}
    sandbox = await runtime.run_sandbox(SandboxSpec(name="s", labels={names.UID: "u", names.KIND: "sandbox"}))
    spec = ContainerSpec(name="c", image="i", sandbox=sandbox.id, labels=labels, command=["load", "500m", "1Mi"])
    made = await runtime.create_container(spec)
    await runtime.start(made.id)
    observations = Observations(runtime, lambda _uid: None)
    await observations.relist()
    stats = Stats(observations, runtime, clock)
    before = await stats.sample()
    await asyncio.sleep(10)
    await runtime.exec(made.id, ["load", "1"])
    await asyncio.sleep(10)
    after = await stats.sample()
    assert [(each.uid, each.name) for each in after.containers] == [("u", "c")], "no sandbox"
    assert after.containers[0].usage.cpu - before.containers[0].usage.cpu == pytest.approx(15e9)
    assert after.containers[0].usage.memory == Load().memory
    assert after.node.cpu - before.node.cpu == pytest.approx(16e9)
    await runtime.remove(made.id)
    assert (await runtime.host()).cpu >= after.node.cpu, "what was used stays used"
    await runtime.close()
