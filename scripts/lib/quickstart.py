"""What `scripts/quickstart` does once there is a virtual environment. Only the standard library and minik's own command line."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from minik.paths import default_data_dir  # noqa: E402  # the path has to be set first
from scripts.lib import example  # noqa: E402  # as above
from scripts.lib.engine import Engine, EngineProblem, find_engine  # noqa: E402  # as above

NAMESPACE = "quickstart"
CHECK_NAMESPACE = "quickstart-check"
"""A check never touches an example that somebody looks at."""
PATIENCE = 120.0
"""Seconds that any one step may take, downloads not counted."""


class Problem(Exception):
    """Why it does not work, in words for a person."""


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and for how long while it takes more than a second."""
    started, over = time.monotonic(), threading.Event()
    print(f"* {text} …", end="", flush=True)

    def tick() -> None:
        while not over.wait(1):
            passed = f" {time.monotonic() - started:.0f} s"
            print(f"\r* {text} …{passed}" if sys.stdout.isatty() else ".", end="", flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        over.set()
        print(" failed")
        raise
    over.set()
    print(f"\r* {text} … done ({time.monotonic() - started:.1f} s)" if sys.stdout.isatty() else " done")


def wait(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE) -> Any:
    """The first true value of `condition`. Raises Problem."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Problem(what)
        time.sleep(0.1)


class Cluster:
    """A running `minik server`, through its administrator's certificate."""

    def __init__(self, data_dir: Path, port: int, docker: str, *, namespace: str = NAMESPACE) -> None:
        """`namespace`: where the example goes."""
        self.data_dir, self.port, self.docker, self.namespace = data_dir, port, docker, namespace
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.data_dir / "server.log"

    def start(self) -> None:
        """In the background, so that it goes on after this program."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [sys.executable, "-m", "minik.cli.main", "server", "--data-dir", str(self.data_dir)]
        command += ["--bind", f"0.0.0.0:{self.port}", "--docker", self.docker]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        (self.data_dir / "server.pid").write_text(f"{self.process.pid}\n")

    def stop(self) -> None:
        """If this program started it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def check_alive(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            raise Problem(f"minik server ended:\n{self.log.read_text()[-2000:]}")

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        """(status, answer: decoded JSON, or text). Raises OSError."""
        pki = self.data_dir / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)
        try:
            headers = {"Content-Type": content_type, "Accept": "application/json"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            is_json = answer.headers.get_content_type() == "application/json"
            return answer.status, json.loads(text) if is_json else text.decode()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The object, or None. Raises Problem."""
        self.check_alive()
        try:
            status, found = self.request("GET", path)
        except OSError:
            return None
        if status == 404:
            return None
        if status != 200:
            raise Problem(f"GET {path}: {found.get('message', status)}")
        return found

    def apply(self, collection: str, obj: dict[str, Any]) -> None:
        """Create it, or make it as given. Raises Problem."""
        status, answer = self.request("POST", collection, obj)
        if status == 409:
            name = obj["metadata"]["name"]
            status, answer = self.request("PATCH", f"{collection}/{name}", obj, "application/merge-patch+json")
        if status not in (200, 201):
            raise Problem(f"{obj['kind']} {obj['metadata']['name']}: {answer.get('message', status)}")

    @property
    def is_ready(self) -> bool:
        self.check_alive()
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ready_node(self) -> Any:
        """A Node that is Ready, or None."""
        nodes = (self.get("/api/v1/nodes") or {}).get("items", [])
        return next((n for n in nodes if condition(n, "Ready")), None)


def condition(obj: dict[str, Any], kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in obj.get("status", {}).get("conditions", ()))


def free_port(wanted: int = 6443) -> int:
    """`wanted`, or another one if that is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Problem("no free port")


def running_port(data_dir: Path) -> int | None:
    """The port of a server that runs on `data_dir` already."""
    try:
        text = (data_dir / "admin.kubeconfig").read_text()
    except OSError:
        return None
    port = next((int(line.rsplit(":", 1)[1]) for line in text.splitlines() if "server: https://" in line), 0)
    return port if port and Cluster(data_dir, port, "").is_ready else None


def apply_example(cluster: Cluster) -> None:
    for collection, obj in example.objects(cluster.namespace):
        cluster.apply(collection, obj)


def ready_pods(cluster: Cluster) -> Any:
    """The example's pods once all three are Ready."""
    pods = (cluster.get(f"/api/v1/namespaces/{cluster.namespace}/pods?labelSelector=app=hello") or {}).get("items", [])
    good = [pod for pod in pods if condition(pod, "Ready") and "deletionTimestamp" not in pod["metadata"]]
    return good if len(good) == example.REPLICAS else None


def why_not_ready(cluster: Cluster) -> str:
    events = (cluster.get(f"/api/v1/namespaces/{cluster.namespace}/events") or {}).get("items", [])
    words = [f"  {e['reason']}: {e.get('message', '')}" for e in events if e.get("type") == "Warning"]
    return "the example's pods did not get ready:\n" + "\n".join(words[-8:] or ["  (no warning events)"])


def fetch(address: str) -> str | None:
    """The page behind a Service address, or None."""
    connection = http.client.HTTPConnection(address, 80, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def show_pods(pods: list[dict[str, Any]]) -> None:
    rows = [("NAME", "READY", "STATUS", "IP", "NODE")]
    for pod in pods:
        status = pod["status"]
        ready = sum(1 for c in status["containerStatuses"] if c["ready"])
        count = f"{ready}/{len(status['containerStatuses'])}"
        rows.append((pod["metadata"]["name"], count, status["phase"], status["podIP"], pod["spec"]["nodeName"]))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    print("\n".join("    " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows))


def clean_up(cluster: Cluster) -> None:
    """Take the example away again and see that it is gone."""
    cluster.request("DELETE", f"/api/v1/namespaces/{cluster.namespace}")
    wait(
        lambda: cluster.get(f"/api/v1/namespaces/{cluster.namespace}") is None,
        "the example's namespace does not go away",
    )


def reset(data_dir: Path, docker: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "minik.cli.main", "reset", "--yes", "--data-dir", str(data_dir), "--docker", docker],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Problem(f"minik reset: {done.stderr.strip()}")


def set_up(cluster: Cluster, engine: Engine, *, running: bool) -> None:
    """Server, node, image, example, page."""
    if not running:
        with step("starting minik server"):
            cluster.start()
            wait(lambda: cluster.is_ready, f"the server did not get ready; see {cluster.log}", seconds=60)
    with step("waiting for the node"):
        wait(cluster.ready_node, f"the node did not get Ready; see {cluster.log}", seconds=60)
    with step(f"getting the example's image, {example.IMAGE}"):
        how = engine.ensure_image(example.IMAGE)
    print(f"    {how}")
    with step("applying the example: a ConfigMap, a Deployment of 3 replicas, a Service"):
        apply_example(cluster)
        try:
            pods = wait(lambda: ready_pods(cluster), "")
        except Problem:
            raise Problem(why_not_ready(cluster)) from None
    show_pods(pods)
    service = cluster.get(f"/api/v1/namespaces/{cluster.namespace}/services/hello")
    address = service["spec"]["clusterIP"]
    with step(f"fetching the page through the Service, http://{address}/"):
        page = wait(lambda: fetch(address), "nothing answers behind the Service", seconds=20)
        if page != example.PAGE:
            raise Problem(f"the Service answered something else: {page!r}")
    print(f"    {page.strip()}")


def what_next(cluster: Cluster) -> None:
    minik = ROOT / ".venv" / "bin" / "minik"
    kubectl = "kubectl" if shutil.which("kubectl") else "kubectl (not installed here; any version from 1.30 on)"
    print(f"""
minik runs in the background. What to try next:
  export KUBECONFIG={cluster.data_dir / "admin.kubeconfig"}
  {kubectl} get pods --all-namespaces
  kubectl -n {cluster.namespace} scale deployment hello --replicas=5
  kubectl -n {cluster.namespace} logs deployment/hello
  kubectl -n {cluster.namespace} exec -it deployment/hello -- sh
Add a node:    {minik} token create      then on the other host: minik agent --join https://THIS-HOST:{cluster.port} --token …
Stop:          kill $(cat {cluster.data_dir / "server.pid"})      pods go on running; scripts/quickstart starts it again
Remove it all: {minik} reset      after stopping it""")


def main() -> int:
    parser = argparse.ArgumentParser(description="From nothing to a running cluster with an example in it.")
    parser.add_argument(
        "--check", action="store_true", help="verify everything, clean up, and say by the exit status how it went"
    )
    options = parser.parse_args()
    started = time.monotonic()
    try:
        if os.geteuid() != 0:
            raise Problem("pods need network interfaces, and those need root: run it with sudo")
        with step("looking for a Docker engine"):
            engine = find_engine()
        print(f"    {engine.description}")
        home = default_data_dir().absolute()
        port = running_port(home)
        if port is not None:
            print(f"* minik server runs already, with its data in {home}")
            namespace = CHECK_NAMESPACE if options.check else NAMESPACE
            cluster = Cluster(home, port, engine.url, namespace=namespace)
            set_up(cluster, engine, running=True)
            if options.check:
                with step("cleaning up"):
                    clean_up(cluster)
        elif options.check:
            check(engine)
            return say_success(started)
        else:
            cluster = Cluster(home, free_port(), engine.url)
            set_up(cluster, engine, running=False)
        if options.check:
            return say_success(started)
        what_next(cluster)
    except (Problem, EngineProblem) as problem:
        print(f"\nquickstart: {problem}", file=sys.stderr)
        return 1
    return 0


def check(engine: Engine) -> None:
    """The whole of it with a cluster of its own, and nothing left behind."""
    if engine.containers():
        raise Problem(
            "pods of a minik that is stopped are here; start it (scripts/quickstart), or remove them (minik reset)"
        )
    with tempfile.TemporaryDirectory(prefix="minik-quickstart-") as directory:
        cluster = Cluster(Path(directory) / "data", free_port(), engine.url)
        try:
            set_up(cluster, engine, running=False)
            with step("cleaning up"):
                clean_up(cluster)
        finally:
            cluster.stop()
            reset(cluster.data_dir, engine.url)
            if left := engine.containers():
                raise Problem(f"containers are left behind: {', '.join(left)}")
            engine.stop_if_ours()


def say_success(started: float) -> int:
    print(f"\nquickstart: everything works ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
