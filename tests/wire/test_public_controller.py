"""The README's controller, whole, in both ways: in the server's process by `minik server --controller`, and as a program of its own
over HTTPS; driven by stock kubectl. And what happens with files that are no use."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kubectl import Kubectl, any_binary
from tests.support.process import MINIK, ROOT, Server, free_port, started, until

pytestmark = pytest.mark.kubectl
EXAMPLE = ROOT / "scripts" / "examples" / "website.py"
SITE = """
apiVersion: example.com/v1
kind: Website
metadata: {name: hello}
spec: {html: "<h1>hello</h1>"}
"""


def test_the_readme_shows_the_file_as_it_is() -> None:
    text = EXAMPLE.read_text()
    assert f"```python\n{text}```" in (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 70


@contextlib.contextmanager
def inside(root: Path) -> Iterator[Server]:
    """The controller in the server's process."""
    process = Server(root, "--containers", "fake", "--node-name", "sim", "--controller", str(EXAMPLE))
    with started(process):
        yield process


@contextlib.contextmanager
def outside(root: Path) -> Iterator[Server]:
    """The controller as a program of its own, with a lease and health, started before its kind is defined."""
    process = Server(root, "--containers", "fake", "--node-name", "sim")
    port = free_port()
    with started(process):
        log = (root / "website.log").open("wb")
        words = [
            sys.executable,
            str(EXAMPLE),
            "--health",
            f"127.0.0.1:{port}",
            "--leader-election",
            "kube-system/website",
        ]
        env = {**os.environ, "KUBECONFIG": str(process.kubeconfig), "PYTHONPATH": str(ROOT)}
        program = subprocess.Popen(words, stdout=log, stderr=log, env=env)
        try:
            yield process
            program.terminate()
            assert program.wait(30) == 0, (root / "website.log").read_text()
            assert "Traceback" not in (root / "website.log").read_text()
            lease = process.request("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/website").obj
            assert not lease["spec"].get("holderIdentity"), "it lets go of its lease when it ends"
        except BaseException:
            print((root / "website.log").read_text())
            raise
        finally:
            program.kill()
            program.wait()
            log.close()


@pytest.mark.slow
@pytest.mark.parametrize("way", [inside, outside])
def test_the_example_works_both_ways(way: object, tmp_path: Path) -> None:
    with way(tmp_path) as server:  # type: ignore[operator]  # one of the two above
        kubectl = Kubectl(any_binary().path, server.kubeconfig, home=tmp_path, namespace="default")
        until(lambda: not kubectl.run("get", "websites").returncode, "the file's own definition is served")
        assert kubectl.apply(SITE) == "website.example.com/hello created\n"
        kubectl("wait", "--for=condition=Ready", "website/hello", "--timeout=60s")
        assert kubectl("get", "web", "hello", "--no-headers").split() == ["hello", "2", "2"]
        assert kubectl("get", "cm", "hello", "-o", "jsonpath={.data['index\\.html']}") == "<h1>hello</h1>"
        kubectl("scale", "website", "hello", "--replicas=3")
        kubectl("wait", "--for=jsonpath={.status.ready}=3", "website/hello", "--timeout=60s")
        kubectl.delete_remade("deployment", "hello")
        kubectl("wait", "--for=jsonpath={.status.ready}=3", "website/hello", "--timeout=60s")
        events = kubectl(
            "get", "events", "--field-selector", "reason=Up", "-o", "jsonpath={.items[*].reportingComponent}"
        )
        assert "website-controller" in events
        out = kubectl.fails("scale", "website", "hello", "--replicas=11")
        assert "should be less than or equal to 10" in out

        kubectl("delete", "crd", "websites.example.com")  # with it its objects, and with them what they own
        until(lambda: kubectl.names("deployments,pods") == [], "everything of the kind is gone")
        definition = EXAMPLE.read_text().split('"""')[3]
        kubectl.apply(definition)  # and the controller goes on when it comes again
        until(lambda: not kubectl.run("get", "websites").returncode, "the kind is served again")
        kubectl.apply(SITE)
        kubectl("wait", "--for=condition=Ready", "website/hello", "--timeout=60s")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise ValueError('not today')", "ValueError: not today"),
        ("CONTROLLER = None", "a controller must be a minik.sdk.Controller"),
        (
            EXAMPLE.read_text().replace('"website",\n', '"deployment",\n'),
            "there is another controller called 'deployment'",
        ),
    ],
)
def test_a_file_that_is_no_use_ends_the_server_at_once(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    words = [*MINIK, "server", "--data-dir", str(tmp_path / "data"), "--no-agent", "--controller", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "data").exists(), "nothing has been started"


def test_a_program_without_a_server_says_so(tmp_path: Path) -> None:
    env = {**os.environ, "KUBECONFIG": str(tmp_path / "none"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, env=env, timeout=60)
    assert (done.returncode, "cannot be read" in done.stderr) == (2, True)
