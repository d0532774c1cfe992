"""Rules between pods, resources and profiles: who is refused, in which words, with which numbers, and whether preemption could help.

Whether the rules are right in every combination is shown by `tests/properties/test_scheduling.py`.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from minik.sched import workloads
from minik.sched.cycle import Decision, fits, schedule
from minik.sched.plugins import Plugins, build, default_plugins
from minik.sched.snapshot import Cluster, PodInfo, matters
from tests.support.objects import node, pod, replica_set

PLUGINS = default_plugins()
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
WEB = {"labelSelector": {"matchLabels": {"app": "web"}}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def rules(kind: str, key: str = HOST, **more: Any) -> dict[str, Any]:
    return {kind: {REQUIRED: [{"topologyKey": key, **WEB, **more}]}}


def web(name: str, **more: Any) -> dict[str, Any]:
    made = pod(name, **more)
    made["metadata"]["labels"] = {"app": "web"}
    return made


def spread(key: str = ZONE, skew: int = 1, **more: Any) -> list[dict[str, Any]]:
    return [{"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": "DoNotSchedule", **WEB, **more}]


def decide(obj: dict[str, Any], cluster: Cluster, plugins: Plugins = PLUGINS) -> Decision:
    return schedule(PodInfo(obj), cluster, plugins, random.Random(1))


def zoned(**zones: str) -> list[dict[str, Any]]:
    return [node(name, labels={ZONE: zone}) for name, zone in zones.items()]


def only(decision: Decision) -> tuple[str, str, bool]:
    """(reason, detail, resolvable) of the one node that was refused."""
    (refusal,) = decision.refusals.values()
    return refusal.reason, refusal.detail, refusal.resolvable


# --- words and numbers ---------------------------------------------------------------------------------------------------------


def test_every_lack_of_a_node_is_said() -> None:
    cluster = Cluster.of([node("n", cpu="1", memory="1Gi", pods="1")], [pod("a", cpu="600m", node_name="n")])
    decision = decide(pod("b", cpu="500m", memory="512Mi"), cluster)
    assert only(decision) == (
        "Too many pods, Insufficient cpu",
        "pods: wants 1, 1 of 1 taken; cpu: wants 500m, 600m of 1 taken",
        True,
    )
    assert decision.summary() == "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods."


def test_what_the_whole_node_does_not_have_no_preemption_gives() -> None:
    cluster = Cluster.of([node("n", memory="1Gi")])
    assert only(decide(pod("a", memory="2Gi"), cluster)) == (
        "Insufficient memory", "memory: wants 2Gi, 0 of 1Gi taken", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "bound", "expected"),
    [
        (
            {"affinity": rules("podAntiAffinity")},
            web("w", node_name="n"),
            ("node(s) didn't match pod anti-affinity rules", f"{HOST}=n has 1 pod(s) that the pod excludes", True),
        ),
        (
            {},
            pod("w", node_name="n", affinity={"podAntiAffinity": {REQUIRED: [{"topologyKey": HOST, "labelSelector": {}}]}}),
            (
                "node(s) didn't satisfy existing pods anti-affinity rules",
                f"{HOST}=n has 1 pod(s) that exclude the pod",
                True,
            ),
        ),
        (
            {"topologySpreadConstraints": spread()},
            web("w", node_name="n"),
            (
                "node(s) didn't match pod topology spread constraints (missing required label)",
                f"the node has no label {ZONE}",
                False,
            ),
        ),
        (
            {"topologySpreadConstraints": spread(HOST, minDomains=2)},
            web("w", node_name="n"),
            (
                "node(s) didn't match pod topology spread constraints",
                f"{HOST}=n has 1 matching pod(s), the domain with the fewest 0, maxSkew is 1",
                True,
            ),
        ),
    ],
)  # fmt: skip
def test_rules_between_pods_in_words(
    spec: dict[str, Any], bound: dict[str, Any], expected: tuple[str, str, bool]
) -> None:
    cluster = Cluster.of([node("n")], [bound])
    assert only(decide(web("a", **spec), cluster)) == expected


def test_refusals_by_the_node_alone_are_not_resolvable() -> None:
    taint = {"key": "k", "value": "v", "effect": "NoExecute"}
    cluster = Cluster.of([node("n", taints=[taint])])
    assert only(decide(pod("a"), cluster)) == (
        "node(s) had untolerated taint(s)", "k=v:NoExecute", False,
    )  # fmt: skip
    assert not decide(pod("a", nodeSelector={"x": "y"}), Cluster.of([node("n")])).refusals["n"].resolvable
    assert not decide(pod("a"), Cluster.of([node("n", unschedulable=True)])).refusals["n"].resolvable
    port = {"ports": [{"containerPort": 80, "hostPort": 80}]}
    cluster = Cluster.of([node("n")], [pod("w", node_name="n", container=port)])
    for more, free in (({"hostIP": "10.0.0.1"}, False), ({"protocol": "UDP"}, True), ({"hostPort": 81}, True)):
        other = {"ports": [{"containerPort": 80, "hostPort": 80, **more}]}
        assert bool(decide(pod("b", container=other), cluster).node) == free
    assert only(decide(pod("a", container=port), cluster)) == (
        "node(s) didn't have free ports for the requested pod ports", "0.0.0.0:80/TCP is taken", True,
    )  # fmt: skip


# --- rules between pods --------------------------------------------------------------------------------------------------------


def test_the_first_of_a_group_may_go_anywhere_and_the_others_follow() -> None:
    cluster = Cluster.of([*zoned(a="east", b="west", c="east"), node("no-zone")])
    info = PodInfo(web("w0", affinity=rules("podAffinity", ZONE)))
    decision = schedule(info, cluster, PLUGINS, random.Random(1))
    assert decision.node and set(decision.refusals) == {"no-zone"}
    cluster.set_pod(info, "a")
    refusals = decide(web("w1", affinity=rules("podAffinity", ZONE)), cluster).refusals
    assert {name: (refusal.detail, refusal.resolvable) for name, refusal in refusals.items()} == {
        "b": (f"no pod that matches the required affinity is in {ZONE}=west", False),
        "no-zone": (f"the node has no label {ZONE}", False),
    }
    assert refusals["b"].reason == "node(s) didn't match pod affinity rules"
    assert not decide(pod("other", affinity=rules("podAffinity", ZONE)), Cluster.of(zoned(a="east"))).node


def test_namespaces_of_a_term() -> None:
    cluster = Cluster.of([node("n")])
    for name, environment in (("default", "test"), ("other", "prod")):
        labels = {"env": environment}
        workloads.known(cluster, {"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    there = web("w")
    there["metadata"]["namespace"] = "other"
    cluster.set_pod(PodInfo(there), "n")

    def runs(**term: Any) -> bool:
        return bool(decide(pod("a", affinity=rules("podAntiAffinity", **term)), cluster).node)

    assert runs() and runs(namespaces=["default"])
    assert not runs(namespaces=["other"])
    assert not runs(namespaceSelector={})
    prod = {"matchLabels": {"env": "prod"}}
    assert not runs(namespaceSelector=prod)
    workloads.known(cluster, {"kind": "Namespace", "metadata": {"name": "other", "labels": {"env": "test"}}})
    assert runs(namespaceSelector=prod)
    assert not runs(namespaceSelector=prod, namespaces=["other"])


def test_required_affinity_of_running_pods_attracts_by_its_weight() -> None:
    bound = web("w", node_name="b", affinity=rules("podAffinity"))
    for weight, expected in ((1, {"b"}), (0, {"a", "b"})):
        arguments = {"hardPodAffinityWeight": weight}
        plugins = build({"pluginConfig": [{"name": "InterPodAffinity", "args": arguments}]})
        cluster = Cluster.of([node("a", cpu="400"), node("b", cpu="400")], [bound])
        chosen = {
            schedule(PodInfo(web(f"p{seed}", cpu="1m", memory="1")), cluster, plugins, random.Random(seed)).rates.get(
                "InterPodAffinity"
            )
            is not None
            for seed in range(2)
        }
        assert chosen == {expected == {"b"}}


def test_replicas_keep_the_skew() -> None:
    cluster = Cluster.of(zoned(a="east", b="east", c="west", d="south"))
    for number in range(12):
        info = PodInfo(web(f"w{number}", topologySpreadConstraints=spread()))
        decision = schedule(info, cluster, PLUGINS, random.Random(number))
        cluster.set_pod(info, decision.node)
        zones = Counter(cluster.get(cluster.node_of(f"pod-w{n}")).labels[ZONE] for n in range(number + 1))  # type: ignore[union-attr]  # they run
        assert max(zones.values()) - min(zones.get(zone, 0) for zone in ("east", "west", "south")) <= 1


def test_a_constraint_without_labels_to_go_by_counts_nobody() -> None:
    cluster = Cluster.of(zoned(a="east", b="west"), [web("w0", node_name="a"), web("w1", node_name="a")])
    everybody = spread(labelSelector={})
    assert not decide(web("v", topologySpreadConstraints=everybody), cluster).refusals
    assert set(decide(web("v", topologySpreadConstraints=spread()), cluster).refusals) == {"a"}
    by_key = spread(labelSelector={}, matchLabelKeys=["app"])  # these it has
    assert set(decide(web("v", topologySpreadConstraints=by_key), cluster).refusals) == {"a"}


def test_a_node_without_the_label_is_in_no_domain() -> None:
    """Not in that of an empty value either."""
    nodes = [node("none"), node("blank", labels={ZONE: ""}), node("west", labels={ZONE: "west"})]
    terms = [{"weight": 1, "podAffinityTerm": {"topologyKey": ZONE, **WEB}}]
    near = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}
    decision = decide(pod("p", affinity=near), Cluster.of(nodes, [web("w", node_name="blank")]))
    assert decision.rates["InterPodAffinity"] == (2, [0, 100, 0])


def test_default_spreading_is_by_service_and_controller_and_for_nobody_else() -> None:
    nodes = [node("a"), node("b")]
    service = {
        "kind": "Service", "metadata": {"name": "s", "namespace": "default"}, "spec": {"selector": {"app": "web"}},
    }  # fmt: skip
    bound = [web("w", node_name="a")]
    assert "PodTopologySpread" not in decide(web("v"), Cluster.of(nodes, bound)).rates
    cluster = Cluster.of(nodes, bound)
    workloads.known(cluster, service)
    assert decide(web("v"), cluster).rates["PodTopologySpread"] == (2, [66.0, 100.0])
    cluster = Cluster.of(nodes, [pod("x", owner="rs", node_name="b")])
    workloads.known(cluster, replica_set("rs"))
    assert decide(pod("y", owner="rs"), cluster).node == "a"
    hard = {"defaultingType": "List", "defaultConstraints": [
        {"maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule"},
    ]}  # fmt: skip
    plugins = build({"pluginConfig": [{"name": "PodTopologySpread", "args": hard}]})
    assert set(decide(pod("y", owner="rs"), cluster, plugins).refusals) == {"b"}


# --- what counts -----------------------------------------------------------------------------------------------------------------


def resized(wants: str, has: str, *, infeasible: bool = False) -> dict[str, Any]:
    made = pod("a", cpu=wants, node_name="n")
    made["status"]["containerStatuses"] = [
        {"name": "c", "resources": {"requests": {"cpu": has}}, "allocatedResources": {"cpu": has}}
    ]
    if infeasible:
        made["status"]["conditions"] = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
    return made


@pytest.mark.parametrize(
    ("obj", "cpu"),
    [
        (resized("2", "1"), 2000),
        (resized("1", "2"), 2000),
        (resized("5", "1", infeasible=True), 1000),
        (pod("a", cpu="1", overhead={"cpu": "250m"}), 1250),
        (pod("a", cpu="1", resources={"requests": {"cpu": "3"}}), 3000),
        (pod("a", cpu="1", initContainers=[{"name": "i", "resources": {"requests": {"cpu": "2"}}}]), 2000),
        (
            pod("a", cpu="1", initContainers=[
                {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}},
                {"name": "i", "resources": {"requests": {"cpu": "700m"}}},
            ]),
            1500,
        ),
    ],
)  # fmt: skip
def test_what_a_pod_takes(obj: dict[str, Any], cpu: int) -> None:
    assert PodInfo(obj).requests["cpu"] == cpu


def test_which_changes_of_a_running_pod_matter() -> None:
    assert matters(resized("2", "1"), resized("2", "2"))
    assert matters(resized("5", "1"), resized("5", "1", infeasible=True))
    assert matters(pod("a"), web("a"))
    gone = pod("a")
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert matters(pod("a"), gone)
    assert not matters(
        resized("2", "1"), {**resized("2", "1"), "status": {**resized("2", "1")["status"], "podIP": "x"}}
    )


def test_extended_resources_and_those_that_are_ignored() -> None:
    wants = {"resources": {"requests": {"example.com/gpu": "2"}}}
    cluster = Cluster.of([node("n")])
    assert decide(pod("a", container=wants), cluster).summary() == (
        "0/1 nodes are available: 1 Insufficient example.com/gpu."
    )
    ignoring = {"ignoredResourceGroups": ["example.com"]}
    plugins = build({"pluginConfig": [{"name": "NodeResourcesFit", "args": ignoring}]})
    assert decide(pod("a", container=wants), cluster, plugins).node == "n"


# --- profiles ----------------------------------------------------------------------------------------------------------------------


def fit(kind: str, **more: Any) -> Plugins:
    disabled = {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit", "weight": 5}]}}
    arguments = {"scoringStrategy": {"type": kind, **more}}
    return build({"plugins": disabled, "pluginConfig": [{"name": "NodeResourcesFit", "args": arguments}]})


def test_scoring_strategies() -> None:
    nodes = [node("empty", cpu="10", memory="10Gi"), node("half", cpu="10", memory="10Gi")]
    cluster = Cluster.of(nodes, [pod("a", cpu="4", memory="4Gi", node_name="half")])
    wanted = pod("b", cpu="1", memory="1Gi")

    def rates(plugins: Plugins) -> list[float]:
        decision = decide(wanted, cluster, plugins)
        assert list(decision.rates) == ["NodeResourcesFit"] and decision.rates["NodeResourcesFit"][0] == 5
        return [round(rate) for rate in decision.rates["NodeResourcesFit"][1]]

    assert rates(fit("LeastAllocated")) == [90, 50]
    assert rates(fit("MostAllocated")) == [10, 50]
    shape = [{"utilization": 0, "score": 10}, {"utilization": 50, "score": 0}, {"utilization": 100, "score": 2}]
    assert rates(fit("RequestedToCapacityRatio", requestedToCapacityRatio={"shape": shape})) == [80, 0]
    weighted = fit("MostAllocated", resources=[{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1}])
    assert rates(weighted) == [10, 50]
    wanted = pod("b", cpu="0", memory="1Gi")  # of the CPU it asks for nothing, but a node has it all the same
    assert rates(fit("LeastAllocated")) == [95, 55]
    with pytest.raises(ValueError, match="no scoring strategy 'Fullest'"):
        fit("Fullest")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"resources": [{"name": "cpu", "weight": 101}]}, "from 1 to 100"),
        ({}, "at least one point"),
        (
            {"requestedToCapacityRatio": {"shape": [{"utilization": 50}, {"utilization": 50}]}},
            "in the order of utilization",
        ),
        ({"requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 11}]}}, "score from 0 to 10"),
    ],
)
def test_strategies_that_make_no_sense(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit("RequestedToCapacityRatio", **more)
    with pytest.raises(ValueError, match="from 0 to 100"):
        build({"pluginConfig": [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]})


def test_what_a_profile_turns_off_and_weighs() -> None:
    built = build({"plugins": {
        "multiPoint": {"disabled": [{"name": "ImageLocality"}]},
        "filter": {"disabled": [{"name": "TaintToleration"}]},
        "score": {"enabled": [{"name": "PodTopologySpread", "weight": 9}]},
    }})  # fmt: skip
    assert "TaintToleration" not in {each.name for each in built.filters}
    weights = {each.name: each.weight for each in built.scores}
    assert (weights["PodTopologySpread"], weights["TaintToleration"], "ImageLocality" in weights) == (9, 3, False)
    with pytest.raises(ValueError, match="there is no scheduler plugin 'Nonsense'"):
        build({"plugins": {"score": {"enabled": [{"name": "Nonsense"}]}}})


def test_added_affinity_holds_for_every_pod() -> None:
    terms = [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["gold"]}]}]
    arguments = {"addedAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}
    plugins = build({"pluginConfig": [{"name": "NodeAffinity", "args": arguments}]})
    cluster = Cluster.of([node("a"), node("b", labels={"pool": "gold"})])
    decision = decide(pod("p"), cluster, plugins)
    assert decision.node == "b"
    assert decision.refusals["a"].reason == "node(s) didn't match scheduler-enforced node affinity"


def test_images_that_are_there_already() -> None:
    nodes = [node("a"), node("b")]
    nodes[1]["status"]["images"] = [{"names": ["x:latest", "x@sha256:1"], "sizeBytes": 2_000_000_000}]
    assert decide(pod("p"), Cluster.of(nodes)).rates["ImageLocality"] == (1, [0.0, pytest.approx(95.3, abs=0.1)])
    cluster = Cluster.of(nodes)
    cluster.set_node(node("b"))
    assert not cluster.image_nodes


# --- what if ---------------------------------------------------------------------------------------------------------------------


def test_what_if_some_pods_went_and_others_came() -> None:
    cluster = Cluster.of([node("n", cpu="1")], [pod("a", cpu="1", node_name="n"), pod("z", node_name="n")])
    found = cluster.get("n")
    assert found is not None
    running = found.pods["pod-a"]
    wanted = PodInfo(pod("b", cpu="1"))
    refused = fits(wanted, "n", cluster, PLUGINS)
    assert refused is not None and refused.reason == "Insufficient cpu"
    assert fits(wanted, "n", cluster, PLUGINS, removed=[running]) is None
    other = PodInfo(pod("c", cpu="500m"))
    assert fits(wanted, "n", cluster, PLUGINS, removed=[running], added=[other]) is not None
    assert fits(running, "n", cluster, PLUGINS) is None
    assert list(found.pods) == ["pod-a", "pod-z"] and found.requested["cpu"] == 1000


def test_nominated_pods_count_for_those_that_are_no_more_important() -> None:
    cluster = Cluster.of([node("n", cpu="1")])
    waiting = PodInfo(pod("a", cpu="1", priority=5))
    cluster.nominate(waiting, "n")
    assert decide(pod("low", cpu="1", priority=5), cluster).refusals["n"].reason == "Insufficient cpu"
    assert decide(pod("high", cpu="1", priority=6), cluster).node == "n"
    assert schedule(waiting, cluster, PLUGINS, random.Random(1)).node == "n"
    cluster.unnominate(waiting.uid)
    assert decide(pod("low", cpu="1"), cluster).node == "n"


def test_a_nominated_pod_goes_to_its_node_if_it_can() -> None:
    cluster = Cluster.of([node("small", cpu="1"), node("large", cpu="64")])
    waiting = PodInfo(pod("a", cpu="1"))
    assert schedule(waiting, cluster, PLUGINS, random.Random(1)).node == "large"
    cluster.nominate(waiting, "small")
    assert schedule(waiting, cluster, PLUGINS, random.Random(1)).node == "small"
