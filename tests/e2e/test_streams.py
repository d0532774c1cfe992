"""logs -f, exec -it, attach, cp, port-forward by stock kubectl, to real containers (issue 2, point 2)."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import OneNode, pod
from tests.support.e2e import row
from tests.support.kubectl import Kubectl
from tests.support.process import dial, fetch, until

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl]


def run_pod(kubectl: Kubectl, *command: str, **spec: object) -> None:
    kubectl.apply(pod("p", *command, **spec))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")


@row("Kubectl, logs")
def test_logs(each_kubectl: Kubectl) -> None:
    run_pod(each_kubectl, "echo first; echo error >&2; until [ -e /tmp/go ]; do sleep 0.1; done; echo later; sleep 1d")
    with each_kubectl.popen("logs", "-f", "p") as follow:
        for _ in range(2):  # in either order: they are two streams
            follow.expect("^(first|error)$")
        each_kubectl("exec", "p", "--", "touch", "/tmp/go")
        follow.expect("^later$")
    assert each_kubectl("logs", "p", "--tail=1") == "later\n"
    dated = each_kubectl("logs", "p", "--timestamps").splitlines()
    assert [re.sub(r"^20\S+Z ", "", line) for line in dated] in (
        ["first", "error", "later"],
        ["error", "first", "later"],
    )
    assert each_kubectl("logs", "p", "--since=1h").splitlines()[-1] == "later"
    assert each_kubectl("logs", "p", "--since=24h") == each_kubectl("logs", "p")
    assert each_kubectl("logs", "p", "--limit-bytes=5") in ("first", "error")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\S+Z later\n", each_kubectl("logs", "p", "--tail=1", "--timestamps"))
    each_kubectl.eventually("", "logs", "p", "--since=1s")


def messages(one: OneNode, path: str, protocol: str) -> list[bytes]:
    """What the server sends over a WebSocket until it closes it (RFC 6455; frames of servers are not masked)."""
    plain = dial("127.0.0.1", one.server.port, netns=one.server.netns)
    with one.server.context().wrap_socket(plain, server_hostname="127.0.0.1") as sock, sock.makefile("rwb") as stream:
        lines = [
            f"GET {path} HTTP/1.1", "Host: minik", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", f"Sec-WebSocket-Protocol: {protocol}", "", "",
        ]  # fmt: skip
        stream.write("\r\n".join(lines).encode())
        stream.flush()
        head = []
        while line := stream.readline().strip():
            head.append(line.decode())
        assert head[0].startswith("HTTP/1.1 101 ") and f"Sec-WebSocket-Protocol: {protocol}" in head, head
        found = []
        while True:
            opcode, length = stream.read(2)
            if length == 126:
                length = int.from_bytes(stream.read(2), "big")
            data = stream.read(length)
            if opcode & 15 == 8:
                return found
            found.append(data)


@row("Pods, logs from websockets", "Pods, remote command execution over websocket")
def test_logs_and_commands_over_web_sockets(kubectl: Kubectl, one: OneNode, namespace: str) -> None:
    run_pod(kubectl, "echo container is alive; sleep 1d")
    until(lambda: kubectl("logs", "p"), "its line")
    path = f"/api/v1/namespaces/{namespace}/pods/p"
    assert b"".join(messages(one, f"{path}/log?container=c", "binary.k8s.io")) == b"container is alive\n"
    text = messages(one, f"{path}/log", "base64.binary.k8s.io")
    assert b"".join(map(base64.b64decode, text)) == b"container is alive\n"
    command = "exec?stdout=1&stderr=1&container=c&command=echo&command=remote+execution+test"
    got = messages(one, f"{path}/{command}", "channel.k8s.io")
    assert b"".join(each[1:] for each in got if each[:1] == b"\x01") == b"remote execution test\n"


def test_logs_previous(each_kubectl: Kubectl) -> None:
    run_pod(each_kubectl, "echo run $(hostname) && sleep 1d & trap 'exit 3' TERM; wait")
    each_kubectl.run("exec", "p", "--", "kill", "-TERM", "1")  # it may die with the container
    each_kubectl.eventually("1", "get", "pod", "p", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
    each_kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    assert each_kubectl("logs", "p", "--previous") == "run p\n"
    state = each_kubectl.get("pod", "p")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (3, "Error")


def test_exec(each_kubectl: Kubectl) -> None:
    run_pod(each_kubectl, "sleep 1d")
    assert each_kubectl("exec", "p", "--", "sh", "-c", "echo out; hostname") == "out\np\n"
    assert each_kubectl("exec", "-i", "p", "--", "cat", stdin="through\n" * 5000) == "through\n" * 5000
    failed = each_kubectl.run("exec", "p", "--", "sh", "-c", "echo oops >&2; exit 7")
    assert (failed.returncode, failed.stdout) == (7, "")
    assert "oops" in failed.stderr
    assert each_kubectl.run("exec", "p", "--", "no-such-program").returncode != 0
    assert "container nothing is not valid" in each_kubectl.fails("exec", "p", "-c", "nothing", "--", "true")


def test_exec_on_a_terminal(each_kubectl: Kubectl) -> None:
    run_pod(each_kubectl, "sleep 1d")
    with each_kubectl.terminal("exec", "-it", "p", "--", "sh") as terminal:
        terminal.expect("# ")
        terminal.type("echo $((6 * 7)); tty\r")
        terminal.expect("42")
        terminal.expect("/dev/pts/")
        terminal.resize(33, 111)
        terminal.type("until [ \"$(stty size)\" = '33 111' ]; do sleep 0.1; done; echo re''sized\r")
        terminal.expect("resized")
        terminal.type("exit 5\r")
        assert terminal.wait() == 5


def test_attach(each_kubectl: Kubectl) -> None:
    run_pod(each_kubectl, "while read line; do echo got $line; done", stdin=True)
    with each_kubectl.popen("attach", "-i", "p") as attached:

        def answered() -> bool:  # what is written before the connection stands is lost, as with kubelet
            attached.write("hello\n")
            try:
                attached.expect("^got hello$", timeout=1)
            except AssertionError:
                return False
            return True

        until(answered, "an answer")
    assert each_kubectl.get("pod", "p")["status"]["phase"] == "Running"


def test_run_attached(each_kubectl: Kubectl) -> None:
    image = pod("x")["spec"]["containers"][0]["image"]  # type: ignore[index]  # a plain dict
    out = each_kubectl("run", "once", "--rm", "-i", "--restart=Never", f"--image={image}", "--", "sh", "-c",
                       "read word; echo said $word", stdin="hello\n")  # fmt: skip
    assert "said hello" in out


@row("Ephemeral Container Creation")
def test_debug(each_kubectl: Kubectl) -> None:
    """A container beside the pod's own ones that sees the processes of the one it is aimed at."""
    run_pod(each_kubectl, "echo the mark is here > /tmp/mark; exec sleep 7777")
    image = pod("x")["spec"]["containers"][0]["image"]  # type: ignore[index]  # a plain dict
    what = ("-it", "--profile=general", f"--image={image}", "--target=c", "-c", "debugger", "--", "sh")
    with each_kubectl.terminal("debug", "p", *what) as terminal:
        terminal.expect("# ")
        terminal.type("tr '\\0' ' ' < /proc/1/cmdline; cat /proc/1/root/tmp/mark\r")
        terminal.expect("sleep 7777")
        terminal.expect("the mark is here")
        terminal.type("exit\r")
        assert terminal.wait() == 0
    each_kubectl.eventually("0", "get", "pod", "p", "-o",
                            "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}")  # fmt: skip
    status = each_kubectl.get("pod", "p")["status"]
    assert status["containerStatuses"][0]["restartCount"] == 0 and status["phase"] == "Running"
    assert "the mark is here" in each_kubectl("logs", "p", "-c", "debugger")
    (debugger,) = each_kubectl.get("pod", "p")["spec"]["ephemeralContainers"]
    assert debugger["imagePullPolicy"] == "IfNotPresent"


def test_copy(each_kubectl: Kubectl, tmp_path: Path) -> None:
    run_pod(each_kubectl, "sleep 1d")
    source = tmp_path / "folder"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "data").write_bytes(bytes(range(256)) * 4096)
    each_kubectl("cp", str(source), "p:/tmp/folder")
    assert each_kubectl("exec", "p", "--", "wc", "-c", "/tmp/folder/deep/data").split()[0] == str(256 * 4096)
    each_kubectl("cp", "p:/tmp/folder/deep/data", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (source / "deep" / "data").read_bytes()


def test_port_forward(each_kubectl: Kubectl, one: OneNode) -> None:
    serve = "mkdir /tmp/w; echo page > /tmp/w/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp/w"
    run_pod(each_kubectl, serve)
    with each_kubectl.popen("port-forward", "pod/p", ":8080") as forward:
        port = int(forward.expect(r"Forwarding from 127.0.0.1:(\d+) ->")[1])
        until(lambda: try_fetch(port, one) == "page\n", "the page")
        for _ in range(20):
            assert fetch("127.0.0.1", port, netns=one.host.netns) == "page\n"


def test_proxy(each_kubectl: Kubectl) -> None:
    """pods/proxy and services/proxy, to a server that listens on the pod's own address alone."""
    serve = "mkdir /tmp/w; echo page > /tmp/w/index.html; exec httpd -f -p $IP:8080 -h /tmp/w"
    own = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    run_pod(each_kubectl, serve, env=[own])
    each_kubectl("label", "pod", "p", "app=p")
    each_kubectl("expose", "pod", "p", "--port=80", "--target-port=8080", "--name=pages")
    within = f"/api/v1/namespaces/{each_kubectl.get('pod', 'p')['metadata']['namespace']}"
    pods, services = f"{within}/pods", f"{within}/services"

    def are_served() -> bool:
        paths = (f"{pods}/p:8080/proxy/", f"{services}/pages/proxy/index.html", f"{services}/pages:80/proxy/")
        return all(each_kubectl.run("get", "--raw", path).stdout == "page\n" for path in paths)

    until(are_served, "the page")
    assert "(NotFound)" in each_kubectl.fails("get", "--raw", f"{pods}/p:8080/proxy/nothing")
    assert "Connection refused" in each_kubectl.fails("get", "--raw", f"{pods}/p:8081/proxy/")


def try_fetch(port: int, one: OneNode) -> str:
    try:
        return fetch("127.0.0.1", port, netns=one.host.netns)
    except OSError:
        return ""
