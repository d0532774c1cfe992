"""`minik get`, `history`, `rewind`, `backup`, `restore` and `check` against real servers and real kubectl."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from minik.storage.backup import describe
from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from tests.support.process import MINIK, ROOT, Server, started, until

_numbers = itertools.count(1)


def minik(server: Server | Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A minik command on a server's data directory."""
    directory = server.data_dir if isinstance(server, Server) else server
    return subprocess.run(
        [*MINIK, *words], input=stdin, capture_output=True, text=True, timeout=90, cwd=ROOT, check=False,
        env={**os.environ, "MINIK_DATA_DIR": str(directory)},
    )  # fmt: skip


def said(server: Server | Path, *words: str, stdin: str = "", status: int = 0) -> str:
    """Its output, of both kinds. Raises AssertionError if its exit status is another one."""
    done = minik(server, *words, stdin=stdin)
    assert done.returncode == status, f"minik {' '.join(words)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def mine(server: Server, namespace: str, tmp_path: Path) -> Kubectl:
    """Some kubectl, in the test's namespace."""
    return Kubectl(kubectls.any_binary().path, server.kubeconfig, home=tmp_path, namespace=namespace)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    process = Server(tmp_path, "--containers", "fake", "--node-name", "sim")
    with started(process):
        yield process


def versions(server: Server, target: str, namespace: str) -> list[dict[str, Any]]:
    found = json.loads(said(server, "history", target, "-n", namespace, "-o", "json", "--limit", "0"))
    result: list[dict[str, Any]] = found["versions"]
    return result


# --- get --------------------------------------------------------------------------------------------------------------


def test_get_prints_what_kubectl_prints(server: Server, mine: Kubectl, namespace: str) -> None:
    mine("create", "configmap", "one", "--from-literal=a=1")
    mine("create", "configmap", "two")
    mine("label", "configmap", "two", "tier=front")
    for words in (
        ["cm"],
        ["cm", "one"],
        ["cm", "-l", "tier=front"],
        ["cm", "-o", "name"],
        ["sa,cm"],
        ["ns", namespace],
    ):
        assert without_ages(said(server, "get", *words, "-n", namespace)) == without_ages(mine("get", *words)), words
    assert said(server, "get", "cm/one", "-n", namespace, "-o", "json") == mine("get", "cm/one", "-o", "json")
    written = said(server, "get", "cm/one", "-n", namespace, "-o", "yaml")
    assert yaml.safe_load(written) == mine.get("cm/one")
    everywhere = said(server, "get", "cm", "-A")
    assert without_ages(everywhere) == without_ages(mine("get", "cm", "-A"))


def without_ages(text: str) -> list[list[str]]:
    """A table's cells but the last, which grows."""
    return [line.split()[:-1] if "AGE" in text else line.split() for line in text.splitlines()]


def test_get_says_what_is_wrong(server: Server, namespace: str, tmp_path: Path) -> None:
    assert 'configmaps "none" not found' in said(server, "get", "cm", "none", "-n", namespace, status=1)
    assert 'no kind "widgets"' in said(server, "get", "widgets", status=1)
    assert f"No resources found in {namespace} namespace" in said(server, "get", "po", "-n", namespace)
    assert "there is no server" in said(tmp_path, "get", "po", status=1)


def test_get_goes_on_to_show_what_changes(server: Server, mine: Kubectl, namespace: str) -> None:
    mine("create", "configmap", "first")
    watching = subprocess.Popen(
        [*MINIK, "get", "cm", "-n", namespace, "-o", "name", "--watch"], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "MINIK_DATA_DIR": str(server.data_dir)},
    )  # fmt: skip
    try:
        assert watching.stdout is not None
        seen = [watching.stdout.readline().strip()]
        mine("create", "configmap", "later")
        while seen[-1] != "configmap/later":
            seen.append(watching.stdout.readline().strip())
        assert "configmap/first" in seen
    finally:
        watching.terminate()
        watching.wait()


def test_the_server_is_asked_without_anything_heavy(server: Server, namespace: str) -> None:
    script = (
        "import sys\nfrom minik.cli.main import main\n"
        f"try:\n    main(['get', 'cm', '-n', {namespace!r}])\nfinally:\n    print(*sys.modules)"
    )
    env = {**os.environ, "MINIK_DATA_DIR": str(server.data_dir)}
    done = subprocess.run([MINIK[0], "-c", script], capture_output=True, text=True, cwd=ROOT, env=env, check=True)
    modules = set(done.stdout.splitlines()[-1].split())
    assert "http.client" in modules
    assert not modules & {
        "aiohttp",
        "asyncio",
        "pydantic",
        "uvloop",
        "orjson",
        "yaml",
        "cryptography",
        "sqlite3",
        "minik.api",
    }


# --- history ----------------------------------------------------------------------------------------------------------


def test_history_shows_who_changed_what(server: Server, kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    kubectl("patch", "configmap", "c", "-p", '{"data":{"a":"2","b":"x"}}')
    kubectl("label", "configmap", "c", "tier=front")
    kubectl("delete", "configmap", "c")
    shown = said(server, "history", "cm/c", "-n", namespace)
    heads = [line for line in shown.splitlines() if line.startswith("revision")]
    assert [head.split(" · ")[1].split()[0] for head in heads] == ["deleted", "changed", "changed", "created"]
    assert all("by minik-admin with kubectl" in head for head in heads)
    assert "(delete)" in heads[0] and "kubectl-label (patch)" in heads[1] and "kubectl-create (create)" in heads[3]
    for line in ('~ data.a: "1" → "2"', "+ data.b: x", "+ metadata.labels.tier: front", '+ data.a: "1"'):
        assert f"    {line}\n" in shown
    names = said(server, "history", "configmap", "c", "-n", namespace, "-o", "names", "--limit", "2")
    assert [line.split("\t")[-1] for line in names.splitlines() if "\t" in line] == ["deleted", "+metadata.labels.tier"]
    assert "2 older versions" in names


def test_history_shows_controllers_scheduler_and_node(server: Server, mine: Kubectl, namespace: str) -> None:
    mine("create", "deployment", "web", "--image=nginx")
    mine("rollout", "status", "deployment/web", "--timeout=60s")
    pod = mine.names("pods", "-l", "app=web")[0]
    told = [(v["user"].split(":")[-1], v["manager"], v["verb"]) for v in versions(server, f"pod/{pod}", namespace)]
    assert told[0] == ("kube-controller-manager", "replicaset-controller", "create")
    assert ("kube-scheduler", "kube-scheduler", "create/binding") in told
    assert any(manager == "minik-agent" and verb == "patch/status" for _, manager, verb in told)
    managers = {v["manager"] for v in versions(server, "deploy/web", namespace)}
    assert managers == {"kubectl-create", "deployment-controller"}
    declared = said(server, "history", "deploy/web", "-n", namespace, "--no-status")
    assert "status." not in declared and "spec.replicas" in declared


def test_history_hides_what_is_secret(server: Server, mine: Kubectl, namespace: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "geheim"}}
    mine.apply(manifest)
    mine("patch", "secret", "s", "-p", '{"stringData":{"p":"anders"}}')
    for output in ("diff", "json", "yaml", "names"):
        shown = said(server, "history", "secret/s", "-n", namespace, "-o", output)
        assert "Z2VoZWlt" not in shown and "geheim" not in shown and "YW5kZXJz" not in shown, output
    assert "data.p: Z2VoZWlt → YW5kZXJz" in said(server, "history", "secret/s", "-n", namespace, "--show-secrets")


def test_history_of_nothing_is_an_error(server: Server, namespace: str) -> None:
    assert "none is remembered" in said(server, "history", "cm/none", "-n", namespace, status=1)


# --- rewind -----------------------------------------------------------------------------------------------------------


def test_an_edited_configmap_goes_back_and_forth(server: Server, mine: Kubectl, namespace: str) -> None:
    mine("create", "configmap", "c", "--from-literal=a=1")
    first = mine.get("configmap", "c")
    mine("patch", "configmap", "c", "-p", '{"data":{"a":null,"b":"2"},"metadata":{"labels":{"x":"y"}}}')
    edited = mine.get("configmap", "c")
    to = ["--to", first["metadata"]["resourceVersion"], "-n", namespace]
    assert "Without --dry-run" in said(server, "rewind", "cm/c", *to, "--dry-run")
    assert "Aborted" in said(server, "rewind", "cm/c", *to, stdin="n\n", status=1)
    assert mine.get("configmap", "c") == edited
    shown = said(server, "rewind", "cm/c", *to, stdin="y\n")
    assert '+ data.a: "1"' in shown and '- data.b: "2"' in shown and "- metadata.labels.x: y" in shown
    back = mine.get("configmap", "c")
    assert back["data"] == first["data"] and "labels" not in back["metadata"]
    assert back["metadata"]["uid"] == first["metadata"]["uid"]
    assert "nothing to do" in said(server, "rewind", "cm/c", *to, "--yes")
    said(server, "rewind", "cm/c", "--to", edited["metadata"]["resourceVersion"], "-n", namespace, "--yes")
    assert mine.get("configmap", "c")["data"] == edited["data"]
    assert [v["manager"] for v in versions(server, "cm/c", namespace)][-2:] == ["minik-rewind", "minik-rewind"]


def test_a_scaled_deployment_goes_back(server: Server, mine: Kubectl, namespace: str) -> None:
    mine("create", "deployment", "web", "--image=nginx:1", "--replicas=2")
    mine("rollout", "status", "deployment/web", "--timeout=60s")
    before = mine.get("deployment", "web")["metadata"]["resourceVersion"]
    mine("scale", "deployment", "web", "--replicas=4")
    mine("set", "image", "deployment/web", "nginx=nginx:2")
    shown = said(server, "rewind", "deploy/web", "--to", before, "-n", namespace, "--yes")
    assert "~ spec.replicas: 4 → 2" in shown and "containers[nginx].image: nginx:2 → nginx:1" in shown
    mine("rollout", "status", "deployment/web", "--timeout=60s")
    pods = until(lambda: len(found := mine.get("pods")["items"]) == 2 and found, "two pods are left")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"nginx:1"}


def test_a_deleted_object_comes_back_and_a_new_one_goes(server: Server, mine: Kubectl, namespace: str) -> None:
    mine("create", "service", "clusterip", "s", "--tcp=80")
    first = mine.get("service", "s")
    revision = int(first["metadata"]["resourceVersion"])
    mine("delete", "service", "s")
    shown = said(server, "rewind", "svc/s", "--to", str(revision), "-n", namespace, "--yes")
    assert "new uid" in shown
    back = mine.get("service", "s")
    assert back["spec"] == first["spec"] and back["metadata"]["uid"] != first["metadata"]["uid"]
    assert "Aborted" in said(
        server, "rewind", "svc/s", "--to", str(revision - 1), "-n", namespace, stdin="n\n", status=1
    )
    said(server, "rewind", "svc/s", "--to", str(revision - 1), "-n", namespace, stdin="y\n")
    assert mine.get("services")["items"] == []


def test_what_cannot_be_is_refused_with_a_reason(server: Server, mine: Kubectl, namespace: str) -> None:
    mine("create", "configmap", "c", "--from-literal=a=1")
    assert "yet to come" in said(server, "rewind", "cm/c", "--to", "999999999999", "-n", namespace, status=1)
    assert "none is remembered" in said(server, "rewind", "cm/none", "--to", "1", "-n", namespace, status=1)
    mine("patch", "configmap", "c", "-p", '{"immutable":true}')
    first = versions(server, "cm/c", namespace)[0]["revision"]
    refused = said(server, "rewind", "cm/c", "--to", str(first), "-n", namespace, "--yes", status=1)
    assert "the server does not take it" in refused and "immutable" in refused
    assert "somebody else" not in refused


# --- who may ----------------------------------------------------------------------------------------------------------


def test_strangers_and_service_accounts_may_not(server: Server, mine: Kubectl, namespace: str) -> None:
    for where in (namespace, "kube-system"):
        token = mine("create", "token", "default", "-n", where).strip()
        for path in ("history/secrets/default/s", "backup", "check", "anything"):
            headers = {"Authorization": f"Bearer {token}"}
            answer = server.request("GET", f"/minik/v1/{path}", admin=False, headers=headers)
            assert (answer.status, answer.obj["reason"]) == (403, "Forbidden"), (where, path)
    assert server.request("GET", "/minik/v1/backup", admin=False).status == 401


# --- backup, restore, check -------------------------------------------------------------------------------------------


class Writing:
    """Writes configmaps, one after the other, until it is told to stop. `acknowledged`: how many."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged = 0

    def __enter__(self) -> Writing:
        self._thread.start()
        until(lambda: self.acknowledged > 5, "some are written")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            made = {"metadata": {"name": f"w{self.acknowledged:05}"}, "data": {"n": str(self.acknowledged)}}
            answer = self._server.request("POST", "/api/v1/namespaces/default/configmaps", made)
            assert answer.status == 201, answer.body
            self.acknowledged += 1


def test_a_backup_under_writes_makes_the_same_cluster_elsewhere(own: Server, tmp_path: Path) -> None:
    kubectl = Kubectl(kubectls.any_binary().path, own.kubeconfig, home=tmp_path)
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    token = kubectl("create", "token", "default").strip()
    file = tmp_path / "cluster.db"
    with Writing(own) as writing:
        before = writing.acknowledged
        made = said(own, "backup", str(file))
        after = writing.acknowledged
    assert made.startswith(f"{file}: revision ") and "objects" in made
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob("cluster*")] == ["cluster.db"]
    assert "exists; --force" in said(own, "backup", str(file), status=1)
    assert "sound" in said(own, "check") and "sound" in said(own, "check", str(file))
    count = describe(file).objects["configmaps"]
    assert "stop it first" in said(own, "restore", str(file), "--yes", status=1)
    old = Kubectl(kubectl.binary, own.kubeconfig, home=tmp_path)
    names = old.names("configmaps")
    own.stop()

    other = Server(tmp_path / "other", "--containers", "fake", "--node-name", "sim", port=own.port)
    shown = said(other, "restore", str(file), "--yes")
    assert "CA and keys come from the backup" in shown
    with started(other):
        kubeconfig = tmp_path / "old.kubeconfig"  # of before: the new machine has the old one's address
        kubeconfig.write_bytes(own.kubeconfig.read_bytes())
        new = Kubectl(kubectl.binary, kubeconfig, home=tmp_path)
        written = [name for name in new.names("configmaps") if name.startswith("w")]
        assert written == [f"w{number:05}" for number in range(len(written))], "a state at one revision: no gaps"
        assert before <= len(written) <= after + 1
        assert set(new.names("configmaps")) <= set(names)
        assert len(new.get("configmaps", "-A")["items"]) == count
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        who = other.request(
            "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, admin=False, headers=headers
        )
        assert (
            who.status == 201 and who.obj["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
        )
        new("rollout", "status", "deployment/web", "--timeout=60s")
        new("scale", "deployment", "web", "--replicas=3")
        new("rollout", "status", "deployment/web", "--timeout=60s")
        assert len(new.get("pods")["items"]) == 3
        assert "sound" in said(other, "check")


def test_restoring_replaces_keeps_and_can_be_undone(own: Server, tmp_path: Path) -> None:
    own.request("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "early"}})
    file = tmp_path / "early.db"
    own.stop()
    made = said(own, "backup", str(file))
    assert "objects" in made and not (tmp_path / "early.db.partial").exists()
    own.start()
    own.request("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "late"}})
    own.stop()
    certificates = {path.name: path.read_bytes() for path in (own.data_dir / "pki").iterdir()}
    assert "Aborted" in said(own, "restore", str(file), stdin="n\n", status=1)
    shown = said(own, "restore", str(file), stdin="y\n")
    counted = next(line.split() for line in shown.splitlines() if line.startswith("configmaps"))
    assert int(counted[1]) == int(counted[2]) + 1
    assert "the same cluster's; CA and keys stay" in shown
    assert {path.name: path.read_bytes() for path in (own.data_dir / "pki").iterdir()} == certificates
    kept = next(word.rstrip(";") for word in shown.split() if "before-restore" in word)

    def names() -> list[str]:
        found = own.request("GET", "/api/v1/namespaces/default/configmaps").obj["items"]
        return [item["metadata"]["name"] for item in found if item["metadata"]["name"] in ("early", "late")]

    own.start()
    assert names() == ["early"]
    own.stop()
    said(own, "restore", kept, "--yes")
    own.start()
    assert names() == ["early", "late"]


def test_a_cluster_with_keys_of_its_own_keeps_them_unless_told_otherwise(own: Server, tmp_path: Path) -> None:
    file = tmp_path / "b.db"
    said(own, "backup", str(file))
    own.stop()
    other = Server(tmp_path / "other", "--containers", "fake", "--node-name", "sim")
    with started(other):
        pass
    ca = (other.data_dir / "pki" / "ca.crt").read_bytes()
    assert "not those of the backup" in said(other, "restore", str(file), "--yes")
    assert (other.data_dir / "pki" / "ca.crt").read_bytes() == ca
    shown = said(other, "restore", str(file), "--yes", "--identity")
    assert (other.data_dir / "pki" / "ca.crt").read_bytes() == (own.data_dir / "pki" / "ca.crt").read_bytes()
    (kept,) = other.data_dir.glob("pki.before-restore-*")
    assert str(kept) in shown and (kept / "ca.crt").read_bytes() == ca
    with started(other):
        assert other.request("GET", "/readyz").status == 200


def test_damage_is_found_and_said(own: Server, tmp_path: Path) -> None:
    file = tmp_path / "b.db"
    said(own, "backup", str(file))
    whole = file.read_bytes()
    cut = tmp_path / "cut.db"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in said(own, "check", str(cut), status=1)
    text = tmp_path / "text.db"
    text.write_text("this is no state")
    assert minik(own, "check", str(text)).returncode in (1, 2)
    assert "there is no" in said(own, "check", str(tmp_path / "none.db"), status=2)
    assert "there is no server" in said(tmp_path / "nowhere", "check", status=2)
    own.stop()
    assert "sound" in said(own, "check")
    before = (own.data_dir / "state.db").read_bytes()
    assert "cannot be used" in said(own, "restore", str(cut), "--yes", status=1)
    assert (own.data_dir / "state.db").read_bytes() == before
    (own.data_dir / "state.db").write_bytes(before[: len(before) // 2])
    assert said(own, "check", status=1)
    shown = said(own, "restore", str(file), "--yes")
    assert "restored" in shown
    own.start()


def test_a_backup_is_not_put_beside_the_state(own: Server) -> None:
    assert "another directory" in said(own, "backup", str(own.data_dir / "b.db"), status=2)


def test_a_server_that_is_killed_in_the_midst_of_a_backup_leaves_no_half_of_one(own: Server, tmp_path: Path) -> None:
    for number in range(40):
        data = {"metadata": {"name": f"big{number}"}, "data": {"x": "y" * 500_000}}
        assert own.request("POST", "/api/v1/namespaces/default/configmaps", data).status == 201
    file = tmp_path / "b.db"
    command = [*MINIK, "backup", str(file), "--data-dir", str(own.data_dir)]
    backup = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    until(lambda: (own.data_dir / "backup.tmp").exists() or backup.poll() is not None, "it has begun", every=0.001)
    own.kill()
    output, _ = backup.communicate(timeout=60)
    if backup.returncode:  # it may have been quicker
        assert "no backup was made" in output or "did not answer" in output or "broke off" in output
        assert not file.exists()
    assert not (tmp_path / "b.db.partial").exists()
    own.start()
    assert not (own.data_dir / "backup.tmp").exists()
    assert "sound" in said(own, "check")


def test_history_is_kept_as_long_as_the_server_is_told(tmp_path: Path) -> None:
    server = Server(
        tmp_path, "--containers", "fake", "--no-agent", "--history-age", "7d", "--history-revisions", "1000"
    )
    with started(server):
        assert server.request("GET", "/readyz").status == 200
    assert "for ever" in said(tmp_path, "server", "--history-age", "0", status=2)
