"""Doing something inside another network namespace: only the calling thread moves, and it comes back.

A socket belongs to the namespace it was made in for ever, so it is enough to make it there: 35 µs, no helper process.
Called by `routed.py` and `RoutedNetwork.socket`.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import TypeVar

from minik.agent.network.base import NetworkError

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"

T = TypeVar("T")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def enter(fd: int) -> None:
    """Move the calling thread into the network namespace that `fd` is open on. Raises OSError."""
    if hasattr(os, "setns"):  # from Python 3.12 on
        os.setns(fd, _CLONE_NEWNET)
    elif _libc().setns(fd, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def of_pid(pid: int) -> str:
    """The path of the network namespace of process `pid`."""
    return f"/proc/{pid}/ns/net"


def in_namespace(path: str, function: Callable[[], T]) -> T:
    """What `function()` returns with this thread in the network namespace at `path`. It must not wait.

    Raises NetworkError when the namespace is gone or may not be entered; errors of `function` pass through.
    """
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NetworkError(f"network namespace {path}: {error.strerror}") from error
        try:
            enter(target)
        except OSError as error:
            raise NetworkError(f"cannot enter network namespace {path}: {error.strerror}") from error
        finally:
            os.close(target)
        try:
            return function()
        finally:
            enter(own)
    finally:
        os.close(own)
