"""Running nftables commands: libnftables in this process where it is installed, else the `nft` program.

Every text is one transaction: all of it happens or nothing. `Nft.run` works in a thread of its own, one text after the other, so
the event loop never waits for the kernel. Called by `routed.py`, `reset.py` and `proxy/apply.py`, which own the texts.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from minik.agent.network.base import NetworkError

_SONAMES = ("libnftables.so.1", "libnftables.so.2")

Runner = Callable[[str], str]
"""Commands → their output. Raises NetworkError with nft's own words."""


def _library() -> Runner | None:
    library = None
    for name in _SONAMES:
        try:
            library = ctypes.CDLL(name)
            break
        except OSError:
            continue
    if library is None:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for function in ("nft_ctx_buffer_error", "nft_ctx_buffer_output"):
        getattr(library, function).argtypes = [ctypes.c_void_p]
    for function in ("nft_ctx_get_error_buffer", "nft_ctx_get_output_buffer"):
        getattr(library, function).argtypes = [ctypes.c_void_p]
        getattr(library, function).restype = ctypes.c_char_p
    context: list[int] = []

    def run(text: str) -> str:
        if not context:  # made in the thread that uses it
            context.append(library.nft_ctx_new(0))
            library.nft_ctx_buffer_error(context[0])
            library.nft_ctx_buffer_output(context[0])
        failed = library.nft_run_cmd_from_buffer(context[0], text.encode())
        error = library.nft_ctx_get_error_buffer(context[0]).decode(errors="replace")
        output: str = library.nft_ctx_get_output_buffer(context[0]).decode(errors="replace")
        if failed:
            raise NetworkError(f"nftables: {_summary(error)}")
        return output

    return run


def _program() -> Runner | None:
    path = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
    if path is None:
        return None

    def run(text: str) -> str:
        done = subprocess.run([path, "-f", "-"], input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NetworkError(f"nftables: {_summary(done.stderr)}")
        return done.stdout

    return run


def _summary(error: str) -> str:
    return " ".join(error.split())[:400]


class Nft:
    """A queue of nftables transactions of one network namespace: that of the thread which made it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="minik-nft")

    async def run(self, text: str) -> str:
        """What the commands print. Raises NetworkError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._runner, text)

    def close(self) -> None:
        self._thread.shutdown(wait=False)


def find_runner() -> Runner | None:
    """Where nftables can be reached; None where neither library nor program is installed."""
    return _library() or _program()


def open_nft() -> Nft | None:
    runner = find_runner()
    return Nft(runner) if runner is not None else None
