"""For all tests: MINIK_REQUIRE=docker,root,kubectl,clients turns skips for want of these into failures, so that .ci/run
cannot be green because nothing ran. MINIK_EXAMPLES=N tries random examples of every property (N of each that does not
say itself how many); without it they are the same ones in every run, so that a run tells of the code and not of its luck."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

from tests.support.docker import docker_engine, docker_host

__all__ = ["docker_engine", "docker_host"]  # fixtures of the whole session

_EXAMPLES = os.environ.get("MINIK_EXAMPLES", "")
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("random", max_examples=int(_EXAMPLES or 100), deadline=None, print_blob=True)
settings.load_profile("random" if _EXAMPLES else "same")

_REQUIRED = frozenset(filter(None, os.environ.get("MINIK_REQUIRE", "").split(",")))
_WORDS = {"docker": ("docker",), "root": ("root", "namespace"), "kubectl": ("kubectl", "helm"), "clients": ("client",)}
"""How the reasons of skips name what is missing."""


def pytest_configure(config: pytest.Config) -> None:
    # Ended by SIGTERM (a time-out's way), tests clean up as they do for Ctrl-C: servers, engines, namespaces.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if unknown := _REQUIRED - set(_WORDS):
        raise pytest.UsageError(f"MINIK_REQUIRE: unknown {', '.join(sorted(unknown))}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and (missing := _required(item, report.longrepr)):
        report.outcome = "failed"
        report.longrepr = f"MINIK_REQUIRE names {missing}, but this was skipped: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    if report.skipped and (missing := _required(collector, report.longrepr)):
        report.outcome = "failed"
        report.longrepr = f"MINIK_REQUIRE names {missing}, but this was skipped: {report.longrepr}"
    return report


def _required(node: Any, skip: Any) -> str:
    """What of MINIK_REQUIRE the skipped `node` is marked with, or its skip speaks of; else "".  `skip`: (file, line, reason)."""
    spoken = str(skip[2] if isinstance(skip, tuple) else skip).lower()
    for name in sorted(_REQUIRED):
        if node.get_closest_marker(name) or any(word in spoken for word in _WORDS[name]):
            return name
    return ""
