"""scripts/quickstart, once minik is installed. Reads top to bottom what it does."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from minik.config import DEFAULT_PORT, default_data_dir
from scripts.quickstartlib import engine
from scripts.quickstartlib.cluster import MINIK, Cluster, free_bind, resource_path
from scripts.quickstartlib.terminal import Failed, say, step, wait_for

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "web.yaml"
REPLICAS = 3


def main(words: Sequence[str]) -> int:
    options = _options(words)
    try:
        if options.check:
            check(options)
        elif options.stop or options.remove:
            stop(Cluster(options.data_dir), remove=options.remove, docker=options.docker)
        else:
            run(options)
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/quickstart")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="do all of it, verify it, clean up")
    what.add_argument("--stop", action="store_true", help="stop the server")
    what.add_argument("--remove", action="store_true", help="stop the server and remove everything minik made here")
    parser.add_argument("--docker", default="", metavar="URL")
    parser.add_argument("--data-dir", type=Path, default=None, metavar="DIR")
    parser.add_argument("--bind", default="", metavar="ADDR:PORT")
    options = parser.parse_args(words)
    options.given_data_dir = options.data_dir is not None
    options.data_dir = (options.data_dir or default_data_dir()).absolute()
    return options


def run(options: argparse.Namespace) -> None:
    """Everything, left running."""
    cluster = Cluster(options.data_dir)
    bring_up(cluster, options)
    address = show_example(cluster, "default")
    say_next(cluster, address)


def check(options: argparse.Namespace) -> None:
    """Everything, verified and cleaned up. A server that already runs is used and left as it was."""
    used = Cluster(options.data_dir)
    if used.kubeconfig.exists() and used.answers():
        say(f"A server is running in {used.data_dir}: the check uses it and removes only what it makes itself")
        engine.make_image(engine.find_engine(options.docker, used.data_dir / "dockerd.log"))
        try_example(used)
        say("ok: quickstart works")
        return
    with tempfile.TemporaryDirectory(prefix="minik-quickstart-") as scratch:
        cluster = Cluster(options.data_dir if options.given_data_dir else Path(scratch) / "server")
        try:
            docker = bring_up(cluster, options, dockerd_log=Path(scratch) / "dockerd.log")
            try_example(cluster)
            with step("Removing everything minik made"):
                cluster.stop()
                _minik("reset", "--yes", "--data-dir", str(cluster.data_dir), "--docker", docker)
            if left := engine.labelled_containers(docker):
                raise Failed(f"{left} containers are left")
        except BaseException:
            say(f"The end of the server's log:\n{cluster.tail()}")
            if cluster.stop():
                subprocess.run([*MINIK, "reset", "--yes", "--data-dir", str(cluster.data_dir)], check=False)
            raise
        finally:
            engine.stop_started()
    say("ok: quickstart works")


def try_example(cluster: Cluster) -> None:
    """The example in a namespace of its own, verified and deleted."""
    namespace = f"quickstart-check-{os.getpid()}"
    cluster.need("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    try:
        address = show_example(cluster, namespace)
        with step("Asking until each of the three pods has answered"):
            pods = {pod["metadata"]["name"] for pod in _pods(cluster, namespace)}
            seen: set[str] = set()

            def all_answered() -> bool:
                seen.add(_fetch(f"http://{address}/cgi-bin/pod").strip())
                return seen == pods

            wait_for(all_answered, f"answers came from {sorted(seen)} of {sorted(pods)}", seconds=60)
    finally:
        with step("Deleting the example"):
            cluster.need("DELETE", f"/api/v1/namespaces/{namespace}")
            path = f"/api/v1/namespaces/{namespace}"
            wait_for(lambda: cluster.ask("GET", path)[0] == 404, "the example's namespace is still there", seconds=60)


def bring_up(cluster: Cluster, options: argparse.Namespace, *, dockerd_log: Path | None = None) -> str:
    """Docker, the example's image, the server, its node. The engine's URL."""
    docker = engine.find_engine(options.docker, dockerd_log or cluster.data_dir / "dockerd.log")
    engine.need_tools()
    engine.make_image(docker)
    if cluster.kubeconfig.exists() and cluster.answers():
        say(f"minik server is running already, at {cluster.url}")
    else:
        bind = options.bind or free_bind(f"0.0.0.0:{DEFAULT_PORT}")
        with step("Starting minik server"):
            cluster.start(bind, docker)
    with step("Waiting for the node"):
        wait_for(
            lambda: _node_is_ready(cluster), f"the node is not Ready; {cluster.log} says:\n{cluster.tail()}", seconds=60
        )
    return docker


def show_example(cluster: Cluster, namespace: str) -> str:
    """Apply the example, wait for it, and show its pods and its page. The Service's address."""
    with step(f"Applying {EXAMPLE.relative_to(ROOT)}: a Deployment, a Service, a ConfigMap"):
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        wait_for(lambda: cluster.ask("GET", account)[0] == 200, "the namespace has no service account", seconds=30)
        cluster.apply(EXAMPLE, namespace)
    with step(f"Waiting for {REPLICAS} pods"):
        try:
            wait_for(lambda: _available(cluster, namespace) == REPLICAS, "the pods do not become ready", seconds=90)
        except Failed as error:
            raise Failed(f"{error}\n{_why_not(cluster, namespace)}") from None
    service = cluster.need("GET", f"/api/v1/namespaces/{namespace}/services/web")
    address: str = service["spec"]["clusterIP"]
    say()
    say(f"$ kubectl get pods\n{cluster.table(f'/api/v1/namespaces/{namespace}/pods')}\n")
    say(f"$ kubectl get services\n{cluster.table(f'/api/v1/namespaces/{namespace}/services')}\n")
    with step(f"Fetching the page through the Service, http://{address}/"):
        page = wait_for(lambda: _fetch(f"http://{address}/"), f"no page at http://{address}/", seconds=60)
    wanted = cluster.need("GET", f"/api/v1/namespaces/{namespace}/configmaps/page")["data"]["index.html"]
    if page != wanted:
        raise Failed(f"http://{address}/ gives another page than the ConfigMap has:\n{page}")
    say(f"$ curl http://{address}/\n{page}")
    return address


def say_next(cluster: Cluster, address: str) -> None:
    """What to type next."""
    kubeconfig = _kubeconfig_for_person(cluster)
    say("Everything runs. Next:")
    if not shutil.which("kubectl"):
        say("  (kubectl is not installed here; any release of it works: https://kubernetes.io/docs/tasks/tools/)")
    say(f"  export KUBECONFIG={kubeconfig}")
    say("  kubectl get pods -o wide")
    say("  kubectl scale deployment web --replicas=10 && kubectl get pods --watch")
    say("  kubectl exec -it deployment/web -- sh")
    say(f"  curl http://{address}/cgi-bin/pod        # which pod answers? ask again")
    say("Another machine as a node: run on it, with minik installed and what `minik token create` prints here:")
    say(f"  minik agent --join {cluster.url.replace('127.0.0.1', _own_address())} --token TOKEN")
    say(f"The server's log: {cluster.log}")
    say("Stop the server: scripts/quickstart --stop.  Remove everything: scripts/quickstart --remove")


def stop(cluster: Cluster, *, remove: bool, docker: str) -> None:
    if cluster.stop():
        say("minik server is stopped." + ("" if remove else " Pods go on running; scripts/quickstart starts it again."))
    else:
        say("minik server was not running (or was not started by quickstart).")
    if remove:
        chosen = ["--docker", docker] if docker else []
        with step("Removing everything minik made on this host"):
            _minik("reset", "--yes", "--data-dir", str(cluster.data_dir), *chosen)


def _node_is_ready(cluster: Cluster) -> bool:
    status, answer = cluster.ask("GET", "/api/v1/nodes")
    return status == 200 and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for node in answer["items"]
        for condition in node["status"].get("conditions", [])
    )


def _available(cluster: Cluster, namespace: str) -> int:
    status = cluster.need("GET", f"{resource_path('apps/v1', namespace)}/deployments/web")["status"]
    return status.get("availableReplicas", 0) if status.get("updatedReplicas") == status.get("replicas") else 0


def _pods(cluster: Cluster, namespace: str) -> list[dict]:  # type: ignore[type-arg]  # objects as the API gives them
    pods: list[dict] = cluster.need("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]  # type: ignore[type-arg]  # as above
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _why_not(cluster: Cluster, namespace: str) -> str:
    """Pods and warnings, for somebody who has to find out."""
    events = cluster.need("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    warnings = [f"{e['involvedObject']['name']}: {e['message']}" for e in events if e["type"] == "Warning"]
    return "\n".join([cluster.table(f"/api/v1/namespaces/{namespace}/pods"), *warnings[-10:]])


def _fetch(url: str) -> str:
    """The page, or "" if there is none yet. No proxy: it is an address of this host."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        time.sleep(0.2)
        return ""


def _minik(*words: str) -> None:
    done = subprocess.run([*MINIK, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"minik {words[0]}: {(done.stderr or done.stdout).strip()}")


def _own_address() -> str:
    from minik.cli.files import primary_address

    return primary_address() or "THIS-HOST"


def _kubeconfig_for_person(cluster: Cluster) -> Path:
    """The kubeconfig; a copy for the person who called sudo, who may not read root's."""
    person = os.environ.get("SUDO_USER", "")
    if not person or person == "root":
        return cluster.kubeconfig
    import pwd

    entry = pwd.getpwnam(person)
    target = Path(entry.pw_dir) / ".kube" / "minik.yaml"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.unlink(missing_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(cluster.kubeconfig.read_bytes())
    for path in (target.parent, target):
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
