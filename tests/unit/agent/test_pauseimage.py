"""The pause process: what it is made of, and that it does what process 1 of a pod must."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from minik.agent import pauseimage


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_archive_is_consistent_and_the_same_every_time(arch: str) -> None:
    tag, content = pauseimage.archive(arch)
    pauseimage.archive.cache_clear()
    assert pauseimage.archive(arch) == (tag, content)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {member.name: file.read() for member in tar if (file := tar.extractfile(member)) is not None}
    (manifest,) = json.loads(files["manifest.json"])
    config = json.loads(files[manifest["Config"]])
    layer = files[manifest["Layers"][0]]
    assert manifest["RepoTags"] == [tag]
    assert tag.endswith(hashlib.sha256(files[manifest["Config"]]).hexdigest()[:12])
    assert config["architecture"] == arch
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]


def test_unknown_machine() -> None:
    assert pauseimage.architecture("aarch64") == "arm64"
    with pytest.raises(LookupError):
        pauseimage.architecture("sparc")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def _wait_asleep(pid: int) -> None:
    for _ in range(500):
        if _state(pid) == "S" and Path(f"/proc/{pid}/comm").read_text() == "pause\n":
            return
        time.sleep(0.01)
    raise AssertionError("the pause process does not wait")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no pause process for this machine")
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_process_reaps_and_ends(tmp_path: Path, sig: signal.Signals) -> None:
    program = tmp_path / "pause"
    program.write_bytes(pauseimage.x86_64() if platform.machine() == "x86_64" else pauseimage.aarch64())
    program.chmod(0o755)
    # the shell becomes the pause process and leaves it a child that ends on its own
    process = subprocess.Popen(["sh", "-c", f'read line & echo $!; exec "{program}"'], stdin=-1, stdout=-1)
    try:
        assert process.stdout is not None and process.stdin is not None
        child = int(process.stdout.readline())
        _wait_asleep(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        for _ in range(500):
            if not Path(f"/proc/{child}").exists():
                break
            time.sleep(0.01)
        assert not Path(f"/proc/{child}").exists(), "the child stays a zombie"
        assert process.poll() is None
        process.send_signal(sig)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
