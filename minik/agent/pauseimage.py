"""The pause image: what holds a sandbox's namespaces open. Made from nothing here, so no registry and no build is needed.

One static ELF without a C library: it blocks SIGINT, SIGTERM and SIGCHLD, reaps every child that is left to it (it is process 1
of pods that share a process namespace), and exits with 0 on SIGINT or SIGTERM. Blocked signals reach even process 1 through
rt_sigtimedwait, so it needs no handlers. `archive` packs it as `docker load` takes it; the bytes are the same every time, and the
tag carries their hash, so that a changed image never hides behind an old one. Used by `containers/docker.py`.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Sequence
from functools import lru_cache

LABEL = "minik.pause"
_BASE = 0x400000
_HEADERS = 64 + 56
_SIGNALS = 1 << (2 - 1) | 1 << (15 - 1) | 1 << (17 - 1)
"""The set of SIGINT, SIGTERM and SIGCHLD."""
_SIGCHLD = 17
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def architecture(machine: str) -> str:
    """Docker's name for what `uname -m` gives. Raises LookupError for one there is no pause process for."""
    return _MACHINES[machine]


def _link(code: bytes, machine: int) -> bytes:
    """An ELF executable with one segment, read and execute, that holds headers and code (System V ABI, figure 4-3)."""
    size = _HEADERS + len(code)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)  # 64 bit, little endian, version 1
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return header + segment + code


class _X86:
    """Instructions with short jumps to labels."""

    def __init__(self) -> None:
        self._code = bytearray()
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def label(self, name: str) -> None:
        self._labels[name] = len(self._code)

    def emit(self, *parts: bytes) -> None:
        for part in parts:
            self._code += part

    def jump(self, opcode: int, label: str) -> None:
        self._code += bytes((opcode, 0))
        self._jumps.append((len(self._code), label))

    def system_call(self, number: int, *load: bytes) -> None:
        self.emit(*load, b"\xb8" + struct.pack("<I", number), b"\x0f\x05")  # mov eax, number; syscall

    def finish(self) -> bytes:
        for end, label in self._jumps:
            self._code[end - 1] = (self._labels[label] - end) & 0xFF
        return bytes(self._code)


def x86_64() -> bytes:
    """The pause process for x86-64."""
    rdi_0, rsi_0, rdx_0, r10_0 = b"\x31\xff", b"\x31\xf6", b"\x31\xd2", b"\x45\x31\xd2"  # xor reg, reg
    rdi_any, rdx_1 = b"\x48\xc7\xc7\xff\xff\xff\xff", b"\xba\x01\x00\x00\x00"  # mov rdi, -1; mov edx, 1
    rdi_stack, rsi_stack, r10_8 = (
        b"\x48\x89\xe7",
        b"\x48\x89\xe6",
        b"\x41\xba\x08\x00\x00\x00",
    )  # mov reg, rsp; mov r10d, 8
    asm = _X86()
    asm.emit(b"\x68" + struct.pack("<I", _SIGNALS))  # push: the set lies at rsp
    asm.system_call(14, rdi_0, rsi_stack, rdx_0, r10_8)  # rt_sigprocmask(SIG_BLOCK, set, NULL, 8)
    asm.label("reap")
    asm.system_call(61, rdi_any, rsi_0, rdx_1, r10_0)  # wait4(-1, NULL, WNOHANG, NULL)
    asm.emit(b"\x85\xc0")  # test eax, eax
    asm.jump(0x7F, "reap")  # jg: there was one, so perhaps there are more
    asm.label("wait")
    asm.system_call(128, rdi_stack, rsi_0, rdx_0, r10_8)  # rt_sigtimedwait(set, NULL, NULL, 8)
    asm.emit(b"\x83\xf8" + bytes((_SIGCHLD,)))  # cmp eax, SIGCHLD
    asm.jump(0x74, "reap")  # je
    asm.emit(b"\x85\xc0")
    asm.jump(0x78, "wait")  # js: interrupted
    asm.system_call(60, rdi_0)  # exit(0)
    return _link(asm.finish(), 62)


def aarch64() -> bytes:
    """The pause process for AArch64."""
    words: list[int] = []

    def load(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register  # movz

    def system_call(number: int, *loads: int) -> None:
        words.extend((*loads, load(8, number), 0xD4000001))  # svc 0

    def compare(value: int) -> None:
        words.append(0x7100001F | value << 10)  # cmp w0, value

    def jump_back(condition: int, target: int) -> None:
        words.append(0x54000000 | ((target - len(words)) & 0x7FFFF) << 5 | condition)

    x0_stack, x1_stack, x0_any = 0x910003E0, 0x910003E1, 0x92800000  # mov reg, sp; mov x0, -1
    equal, less, greater = 0, 11, 12
    words += [load(9, _SIGNALS & 0xFFFF), 0xF2A00000 | (_SIGNALS >> 16) << 5 | 9, 0xF81F0FE9]  # str x9, [sp, -16]!
    system_call(135, load(0, 0), x1_stack, load(2, 0), load(3, 8))  # rt_sigprocmask
    reap = len(words)
    system_call(260, x0_any, load(1, 0), load(2, 1), load(3, 0))  # wait4
    compare(0)
    jump_back(greater, reap)
    wait = len(words)
    system_call(137, x0_stack, load(1, 0), load(2, 0), load(3, 8))  # rt_sigtimedwait
    compare(_SIGCHLD)
    jump_back(equal, reap)
    compare(0)
    jump_back(less, wait)
    system_call(93, load(0, 0))  # exit
    return _link(struct.pack(f"<{len(words)}I", *words), 183)


def tar(files: Sequence[tuple[str, bytes, int]]) -> bytes:
    """A tar of (name, content, mode), owned by root, dated 1970: the same bytes for the same files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive_file:
        for name, content, mode in files:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive_file.addfile(member, io.BytesIO(content))
    return out.getvalue()


@lru_cache(maxsize=4)
def archive(arch: str) -> tuple[str, bytes]:
    """(tag, image in the format of `docker save`) for `amd64` or `arm64`."""
    layer = tar([("pause", x86_64() if arch == "amd64" else aarch64(), 0o755)])
    config = json.dumps(
        {
            "architecture": arch,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535", "Labels": {LABEL: "1"}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "minik"}],
        },
        sort_keys=True,
    ).encode()
    digest = hashlib.sha256(config).hexdigest()
    tag = f"minik/pause:{digest[:12]}"
    manifest = json.dumps([{"Config": f"{digest}.json", "RepoTags": [tag], "Layers": ["layer/layer.tar"]}]).encode()
    return tag, tar(
        [(f"{digest}.json", config, 0o644), ("layer/layer.tar", layer, 0o644), ("manifest.json", manifest, 0o644)]
    )
