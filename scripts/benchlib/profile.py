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

from scripts.benchlib.process import ROOT

TOP = 10
_OUTSIDE = (
    "asyncio/runners.py",
    "uvloop/",
    "click/",
    "runpy",
    "<module>",
    "minik/cli/",
    "Thread.",
    "_worker_thread",
    "bin/minik",
)
_GAP = 0.001
"""Seconds; samples are 4 ms apart."""


@dataclass(slots=True)
class Profile:
    """`top`: the functions with most time of their own, "12.3 % name (file:line)", filled at the end of the block."""

    top: list[str] = field(default_factory=list)


@contextlib.contextmanager
def profiled(pid: int) -> Iterator[Profile]:
    """Sample the process while the block runs."""
    profile, record = Profile(), _Record()
    with _recorded(pid, "raw", 200, "--gil", record):
        yield profile
    profile.top = plan_top(record.text.splitlines())


@contextlib.contextmanager
def stalls(pid: int, longest: float, found: list[str]) -> Iterator[None]:
    """Adds to `found`, at the end of the block, what the loop's thread did without a break for longer than `longest` seconds."""
    record = _Record()
    with _recorded(pid, "chrometrace", 250, "--idle", record):
        yield
    found += plan_stalls(json.loads(record.text or "[]"), longest)


@dataclass(slots=True)
class _Record:
    text: str = ""
    """What py-spy wrote, filled at the end of the block."""


@contextlib.contextmanager
def _recorded(pid: int, form: str, rate: int, which: str, record: _Record) -> Iterator[None]:
    tool = shutil.which("py-spy", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if tool is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="minik-bench-") as directory:
        output = Path(directory) / "samples"
        child = subprocess.Popen(
            [tool, "record", "--pid", str(pid), "--format", form, "--rate", str(rate), "--nonblocking", which,
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


@dataclass(slots=True)
class _Span:
    """One function at one depth of a thread's stack, as long as it was there without a break."""

    thread: int
    depth: int
    name: str
    begin: float
    end: float


def plan_stalls(events: Iterable[Mapping[str, Any]], longest: float) -> list[str]:
    """From a Chrome trace: the innermost functions that were on the loop's stack for longer than `longest`, longest first.

    Calls of one function that follow one another without a sample between them look like one long call."""
    spans = _spans(events)
    others = {span.thread for span in spans if span.name.startswith("Thread.")}
    spans = [span for span in spans if span.thread not in others]
    long = [span for span in spans if span.end - span.begin > longest and not _is_outside(span.name)]
    inmost = [span for span in long if not any(_holds(span, other) for other in long)]
    inmost.sort(key=lambda span: span.begin - span.end)
    return [f"{1000 * (span.end - span.begin):.0f} ms {span.name}{_inner(span, spans)}" for span in inmost[:TOP]]


def _spans(events: Iterable[Mapping[str, Any]]) -> list[_Span]:
    """A frame whose line changes ends and begins anew in the trace: it is put together again here."""
    spans: list[_Span] = []
    stacks: dict[int, list[_Span]] = {}
    last: dict[tuple[int, int], _Span] = {}
    for event in events:
        thread, at = event["tid"], event["ts"] / 1e6
        stack = stacks.setdefault(thread, [])
        if event["ph"] == "B":
            depth, name = len(stack), _name(event)
            before = last.get((thread, depth))
            if before is not None and before.name == name and at - before.end < _GAP:
                span = before
            else:
                span = _Span(thread, depth, name, at, at)
                spans.append(span)
            stack.append(span)
        elif event["ph"] == "E" and stack:
            span = stack.pop()
            span.end = at
            last[thread, span.depth] = span
    return spans


def _holds(outer: _Span, inner: _Span) -> bool:
    return inner.depth > outer.depth and inner.begin < outer.end and outer.begin < inner.end


def _inner(outer: _Span, spans: Iterable[_Span]) -> str:
    """What the functions called from it took of its time."""
    took: dict[str, float] = {}
    for span in spans:
        if span.depth == outer.depth + 1 and _holds(outer, span):
            took[span.name] = took.get(span.name, 0.0) + min(span.end, outer.end) - max(span.begin, outer.begin)
    most = sorted(took.items(), key=lambda item: -item[1])[:3]
    total = outer.end - outer.begin
    return "".join(f"; {100 * part / total:.0f} % {name}" for name, part in most)


def _name(event: Mapping[str, Any]) -> str:
    about = event.get("args") or {}
    path = str(about.get("filename", "")).rpartition("site-packages/")[2].removeprefix(f"{ROOT}/")
    return f"{event['name']} ({path})"


def _is_outside(name: str) -> bool:
    """Above the loop's callbacks."""
    return any(word in name for word in _OUTSIDE)
