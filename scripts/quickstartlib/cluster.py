"""A `minik server` in the background, and asking its API as kubectl would: plain HTTPS with the administrator's certificate."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from scripts.quickstartlib.terminal import Failed, wait_for

MINIK = (sys.executable, "-m", "minik.cli.main")


class Cluster:
    """The server of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.kubeconfig = data_dir / "admin.kubeconfig"
        self.log = data_dir / "quickstart.log"
        self._pid_file = data_dir / "quickstart.pid"

    def pid(self) -> int:
        """The process that quickstart started, if it still runs; else 0."""
        try:
            pid = int(self._pid_file.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return 0
        return pid if b"server" in words and str(self.data_dir).encode() in words else 0

    def answers(self) -> bool:
        """Whether the server is there and ready."""
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def start(self, bind: str, docker: str) -> None:
        """Returns when it is ready. Raises Failed with what it logged."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [*MINIK, "server", "--data-dir", str(self.data_dir), "--bind", bind, "--docker", docker]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        self._pid_file.write_text(f"{process.pid}\n")

        def ready() -> bool:
            if process.poll() is not None:
                raise Failed(f"minik server ended with status {process.returncode}; {self.log} says:\n{self.tail()}")
            return self.kubeconfig.exists() and self.answers()

        wait_for(ready, f"minik server is not ready; {self.log} says:\n{self.tail()}", seconds=60)

    def stop(self) -> bool:
        """Stop what quickstart started; whether there was something."""
        pid = self.pid()
        if not pid:
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while self.pid():
            _reap(pid)
            if time.monotonic() > deadline:
                raise Failed(f"minik server (process {pid}) does not stop")
            time.sleep(0.1)
        self._pid_file.unlink(missing_ok=True)
        return True

    def tail(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        except FileNotFoundError:
            return ""

    @property
    def url(self) -> str:
        return str(yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """(status, decoded JSON, or text)."""
        pki = self.data_dir / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        address = urlsplit(self.url)
        connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context, timeout=30)
        try:
            data = None if body is None else json.dumps(body)
            sent = {"Accept": "application/json", "Content-Type": "application/json"} | dict(headers or {})
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            text = answer.read().decode()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, json.loads(text) if "json" in kind else text
        finally:
            connection.close()

    def need(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """The answer. Raises Failed with the server's message if it refuses."""
        status, answer = self.ask(method, path, body, headers=headers)
        if status >= 300:
            message = answer.get("message", "") if isinstance(answer, dict) else answer
            raise Failed(f"{method} {path}: {status} {message}")
        return answer

    def apply(self, manifest: Path, namespace: str) -> None:
        """Create what the file says, or change what is there to say so."""
        for obj in yaml.safe_load_all(manifest.read_text()):
            folder = f"{resource_path(obj['apiVersion'], namespace)}/{obj['kind'].lower()}s"
            status, answer = self.ask("POST", folder, obj)
            if status == 409:
                path = f"{folder}/{obj['metadata']['name']}"
                self.need("PATCH", path, obj, headers={"Content-Type": "application/merge-patch+json"})
            elif status >= 300:
                raise Failed(f"{manifest.name}: {answer['message']}")

    def table(self, path: str) -> str:
        """A list as `kubectl get` prints it."""
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
        answer = self.need("GET", path, headers={"Accept": accept})
        shown = [n for n, column in enumerate(answer["columnDefinitions"]) if column.get("priority", 0) == 0]
        rows = [[answer["columnDefinitions"][n]["name"].upper() for n in shown]]
        rows += [[str(row["cells"][n]) for n in shown] for row in answer.get("rows", [])]
        widths = [max(len(row[n]) for row in rows) for n in range(len(shown))]
        return "\n".join(
            "   ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def resource_path(api_version: str, namespace: str) -> str:
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    return f"{root}/namespaces/{namespace}"


def free_bind(wanted: str) -> str:
    """`wanted` (ADDR:PORT), or the same address with a free port if that one is taken."""
    host, _, port = wanted.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # started by an earlier quickstart
