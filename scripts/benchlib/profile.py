"""Where a server's CPU goes, by py-spy from outside (an optional tool: without it nothing is said).

`profiled` tells the functions that used most CPU within a block, `stalls` what the event loop did for long at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOP = 10
_LOOP = ("run_forever", "run_until_complete", "run_app", "_run_once", "uvloop", "asyncio")


@dataclass(slots=True)
class Profile:
    """`top`: the functions with most time of their own, "12.3 % name (file:line)", filled at the end of the block."""

    top: list[str] = field(default_factory=list)


@contextlib.contextmanager
def profiled(pid: int) -> Iterator[Profile]:
    """Sample the process while the block runs."""
    profile, record = Profile(), _Record()
    with _recorded(pid, "raw", 200, record):
        yield profile
    profile.top = plan_top(record.text.splitlines())


@contextlib.contextmanager
def stalls(pid: int, longest: float, found: list[str]) -> Iterator[None]:
    """Adds to `found`, at the end of the block, what the loop's thread did without a break for longer than `longest` seconds."""
    record = _Record()
    with _recorded(pid, "chrometrace", 250, record):
        yield
    found += plan_stalls(json.loads(record.text or "[]"), longest)


@dataclass(slots=True)
class _Record:
    text: str = ""
    """What py-spy wrote, filled at the end of the block."""


@contextlib.contextmanager
def _recorded(pid: int, form: str, rate: int, record: _Record) -> Iterator[None]:
    tool = shutil.which("py-spy", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if tool is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="minik-bench-") as directory:
        output = Path(directory) / "samples"
        child = subprocess.Popen(
            [tool, "record", "--pid", str(pid), "--format", form, "--rate", str(rate), "--nonblocking", "--gil",
             "--output", str(output)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.3)  # it attaches, and says nothing of when it has
        try:
            yield
            child.send_signal(signal.SIGINT)
            child.wait(30)
            if output.exists():
                record.text = output.read_text()
        finally:
            child.kill()
            child.wait()


def plan_top(lines: Iterable[str]) -> list[str]:
    """From folded stacks ("outer;inner 12")."""
    own: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        own[stack.rsplit(";", 1)[-1]] += int(count)
    total = sum(own.values())
    return [f"{100 * count / total:5.1f} % {name}" for name, count in own.most_common(TOP)]


def plan_stalls(events: Iterable[Mapping[str, Any]], longest: float) -> list[str]:
    """From a Chrome trace: the outermost frames below the loop's own that lasted, longest first, with what took most of each."""
    found: list[tuple[float, str]] = []
    open_: dict[int, list[tuple[str, float, dict[str, float]]]] = {}
    for event in events:
        stack = open_.setdefault(event["tid"], [])
        at = event["ts"] / 1e6
        if event["ph"] == "B":
            stack.append((_name(event), at, {}))
        elif event["ph"] == "E" and stack:
            name, begin, inner = stack.pop()
            lasted = at - begin
            if stack:
                stack[-1][2][name] = stack[-1][2].get(name, 0.0) + lasted
            if lasted > longest and all(_is_loop(outer) for outer, _, _ in stack) and not _is_loop(name):
                found.append((lasted, f"{name}{_chain(inner, lasted)}"))
    return [f"{1000 * lasted:.0f} ms {what}" for lasted, what in sorted(found, reverse=True)[:20]]


def _chain(inner: Mapping[str, float], lasted: float) -> str:
    parts = sorted(inner.items(), key=lambda item: -item[1])[:3]
    return "".join(f"; {name} {100 * took / lasted:.0f} %" for name, took in parts)


def _name(event: Mapping[str, Any]) -> str:
    about = event.get("args") or {}
    return f"{event['name']} ({about.get('filename', '')}:{about.get('line', '')})"


def _is_loop(name: str) -> bool:
    return any(word in name for word in _LOOP) or name.startswith(
        ("<module>", "main", "command", "run_server", "invoke", "__call__", "run ")
    )
