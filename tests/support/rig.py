"""`Rig(n)`: n hosts on one machine, each a network namespace with a Docker daemon of its own, joined by a switch.

Root only. The network namespace of the tests is never touched: the switch, a bridge at 10.90.0.254, lives in one too. Host i has
address 10.90.0.i. An agent of host i runs inside `rig[i].netns` (`rig[i].command(...)`), the control plane in any of them or in
`rig.switch_netns`.

    with Rig(3) as rig:
        DockerRuntime("node-2", url=rig[2].url, …)
        rig[2].cut(); rig[2].heal(); rig[2].crash(); rig[2].up()
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import TracebackType

from tests.support.docker import Daemon, run, wait_until

SWITCH_IP = "10.90.0.254"
_numbers = count(1)


class Host:
    """One host. `url` is its Docker engine, `ip` its address, `netns` the path of its network namespace."""

    def __init__(self, number: int, prefix: str, directory: Path) -> None:
        self.number = number
        self.ip = f"10.90.0.{number}"
        self._name, self._switch, self._port = f"{prefix}-{number}", f"{prefix}-sw", f"p{number}"
        self.netns = f"/run/netns/{self._name}"
        self.directory = directory / str(number)
        self.daemon = Daemon(self.directory, self.netns, f"/{self._name}")
        self.url = self.daemon.url

    def up(self, images: Sequence[bytes] = ()) -> None:
        """Power on: network, then the daemon, then `images` into it."""
        if not Path(self.netns).exists():
            self._plug_in()
        self.daemon.start()
        for archive in images:
            self.daemon.load(archive)

    def _plug_in(self) -> None:
        run("ip", "netns", "add", self._name)
        # the same MAC after every start: the others still have it in their neighbour tables
        mac = f"02:90:00:00:00:{self.number:02x}"
        lines = (
            "link set lo up",
            f"link add eth0 address {mac} type veth peer name {self._port} netns {self._switch}",
            f"addr add {self.ip}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {SWITCH_IP}",
        )
        run("ip", "-n", self._name, "-batch", "-", stdin="\n".join(lines) + "\n")
        run("ip", "-n", self._switch, "link", "set", self._port, "master", "br0", "up")
        run(*self.command("sysctl", "-qw", "net.ipv4.ip_forward=1"))

    def command(self, *words: str) -> tuple[str, ...]:
        """The command line that runs `words` on this host."""
        return ("nsenter", f"--net={self.netns}", *words)

    def crash(self) -> None:
        """Power loss: processes (a test's own there too), mounts, runtime state and network are gone, the disk stays. `up` starts
        it again."""
        self._kill_processes()
        self.daemon.crash()
        self._unplug()

    def _kill_processes(self) -> None:
        """Whatever still runs in the host's network namespace, such as an agent. It is the rig's own, so all of it is ours."""

        def are_gone() -> bool:
            left = _processes_in(self.netns)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        wait_until(are_gone, f"what runs on {self._name} does not end", 10.0)

    def _unplug(self) -> None:
        # namespaces go away later, in the background: the switch's end first, so that its name is free at once
        run("ip", "-n", self._switch, "link", "del", self._port, check=False)
        run("ip", "netns", "del", self._name, check=False)

    def down(self) -> None:
        """Crash, and forget the disk."""
        self._kill_processes()
        self.daemon.wipe()
        self._unplug()

    def cut(self) -> None:
        """Pull the cable, at the switch: the host keeps its routes."""
        run("ip", "-n", self._switch, "link", "set", self._port, "down")

    def heal(self) -> None:
        run("ip", "-n", self._switch, "link", "set", self._port, "up")


def _processes_in(netns: str) -> list[int]:
    """The processes that live in the network namespace at this path."""
    found: list[int] = []
    try:
        wanted = Path(netns).stat()
    except OSError:
        return found
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended; of a zombie there is nothing to stat
                its = (entry / "ns" / "net").stat()
                if (its.st_dev, its.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append(int(entry.name))
    return found


class Rig:
    """n hosts, numbered from 1, and their switch. `images`: archives loaded into each."""

    def __init__(self, n: int, *, images: Sequence[bytes] = ()) -> None:
        self._images = images
        self._prefix = f"mkrig{os.getpid()}-{next(_numbers)}"
        self.directory = Path(tempfile.mkdtemp(prefix="mkrig-"))
        self.switch_netns = f"/run/netns/{self._prefix}-sw"
        self.hosts = {number: Host(number, self._prefix, self.directory) for number in range(1, n + 1)}

    def __getitem__(self, number: int) -> Host:
        return self.hosts[number]

    def up(self) -> None:
        """Raises RuntimeError."""
        switch = f"{self._prefix}-sw"
        run("ip", "netns", "add", switch)
        lines = ("link set lo up", "link add br0 type bridge", f"addr add {SWITCH_IP}/24 dev br0", "link set br0 up")
        run("ip", "-n", switch, "-batch", "-", stdin="\n".join(lines) + "\n")
        # or the switch would send bridged packets through the host's packet filter
        run(
            "nsenter",
            f"--net={self.switch_netns}",
            "sysctl",
            "-qw",
            "net.bridge.bridge-nf-call-iptables=0",
            check=False,
        )
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda host: host.up(self._images), self.hosts.values()))

    def down(self) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(Host.down, self.hosts.values()))
        run("ip", "netns", "del", f"{self._prefix}-sw", check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Rig:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
