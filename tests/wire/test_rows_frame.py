"""What upstream's suite asks before and after every test, whatever the row (`test/e2e/framework`, `SetupSuite`): it fails everything if
this fails.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from tests.support.e2e import Client, Watch
from tests.support.process import Server, until


def test_the_suite_begins(server: Server) -> None:
    """`SetupSuite`: nodes that can take pods, kube-system at rest, the family of the cluster's addresses, the versions."""
    api = Client(server, "kube-system")

    def schedulable() -> bool:
        found = api.do("GET", f"{api.path('nodes')}?fieldSelector=spec.unschedulable%3Dfalse&resourceVersion=0")[
            "items"
        ]
        conditions = [{c["type"]: c["status"] for c in node["status"]["conditions"]} for node in found]
        ready = [c["Ready"] == "True" and c.get("NetworkUnavailable", "False") == "False" for c in conditions]
        return len(found) == 3 and all(ready) and not any(node["spec"].get("taints") for node in found)

    until(schedulable, "three nodes that can take pods")
    for plural in ("replicationcontrollers", "replicasets", "daemonsets"):
        assert api.items(plural) == []
    assert all(pod["status"]["phase"] in ("Running", "Succeeded") for pod in api.items("pods"))
    kubernetes = Client(server, "default").get("services", "kubernetes")
    assert kubernetes["spec"]["clusterIP"].count(".") == 3
    version = api.do("GET", "/version")
    assert version["major"].isdigit() and version["minor"].isdigit() and version["gitVersion"].startswith("v1.36.")


def test_every_test_begins_and_ends(server: Server) -> None:
    """`BeforeEach`: a namespace, its account and its root certificate, each waited for by an informer. `AfterEach`: it goes."""
    labels = {
        "e2e-framework": "rows", "e2e-run": "f1", "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/enforce-version": "latest", "security.openshift.io/scc.podSecurityLabelSync": "false",
    }  # fmt: skip
    api = Client(server, "rows-frame")
    made = api.create("namespaces", {"metadata": {"name": "rows-frame", "labels": labels}})
    assert made["metadata"]["labels"] == {**labels, "kubernetes.io/metadata.name": "rows-frame"}
    for plural, name in (("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")):
        query = {
            "watch": "true", "fieldSelector": f"metadata.name={name}", "allowWatchBookmarks": "true",
            "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "timeoutSeconds": "300",
        }  # fmt: skip
        watch = Watch(server, f"{api.path(plural)}?{urlencode(query)}")
        try:
            type_, found = watch.next(f"{plural} {name}")
        finally:
            watch.close()
        assert (type_, found["metadata"]["name"]) == ("ADDED", name)
    api.create(
        "pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "registry.test/p:1"}]}}
    )
    api.phase("p")
    events = json.loads(api.ask("GET", api.path("events")).body)["items"]
    assert {event["involvedObject"]["name"] for event in events} == {"p"}, "what a failed test would show"
    api.delete("namespaces", "rows-frame")
    until(lambda: not api.exists("namespaces", "rows-frame"), "the namespace gone, with what was in it")
    assert all(
        {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True" for node in api.items("nodes")
    )
