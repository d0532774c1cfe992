"""KubeSchedulerConfiguration: what is taken from it, and how it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minik.sched.profiles import ConfigError, parse_configuration, read_configuration
from minik.sched.snapshot import Cluster, PodInfo
from tests.support.objects import node, pod

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


def parsed(**fields: Any) -> Any:
    return parse_configuration({**HEAD, **fields}).profiles


def test_nothing_said_is_the_default_profile() -> None:
    (profile,) = parsed(leaderElection={"leaderElect": False})
    assert profile.name == "default-scheduler"
    assert {each.name for each in profile.plugins.filters} >= {"NodeResourcesFit", "PodTopologySpread"}


def test_several_profiles_with_their_own_plugins_and_weights() -> None:
    second = {
        "schedulerName": "second",
        "plugins": {
            "filter": {"disabled": [{"name": "TaintToleration"}]},
            "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity", "weight": 7}]},
        },
    }
    first, other = parsed(profiles=[{"schedulerName": "default-scheduler"}, second])
    assert [first.name, other.name] == ["default-scheduler", "second"]
    assert [(each.name, each.weight) for each in other.plugins.scores] == [("NodeAffinity", 7)]
    names = {each.name for each in first.plugins.filters} - {each.name for each in other.plugins.filters}
    assert names == {"TaintToleration"}


@pytest.mark.parametrize("point", ["postFilter", "multiPoint"])
def test_preemption_can_be_disabled_or_told_how_many_nodes_are_enough(point: str) -> None:
    (profile,) = parsed(profiles=[{"plugins": {point: {"disabled": [{"name": "DefaultPreemption"}]}}}])
    assert profile.preemption is None
    arguments = {"minCandidateNodesAbsolute": 1, "minCandidateNodesPercentage": 0}
    (profile,) = parsed(profiles=[{"pluginConfig": [{"name": "DefaultPreemption", "args": arguments}]}])
    assert (profile.preemption.nodes, profile.preemption.percent) == (1, 0)


def test_resources_that_extenders_mind_are_not_counted() -> None:
    managed = [{"name": "example.com/odd", "ignoredByScheduler": True}, {"name": "example.com/even"}]
    (profile,) = parsed(extenders=[{"urlPrefix": "http://h", "filterVerb": "f", "managedResources": managed}])
    fit = next(each for each in profile.plugins.filters if each.name == "NodeResourcesFit")

    def refuses(resource: str) -> bool:
        requests = {"resources": {"requests": {resource: "1"}}}
        check = fit.prepare(PodInfo(pod("p", container=requests)), cluster)
        return callable(check) and check(cluster.nodes[0]) is not None

    cluster = Cluster.of([node("n")])
    assert not refuses("example.com/odd") and refuses("example.com/even")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "Pod"}, "apiVersion must be kubescheduler.config.k8s.io/v1 and kind KubeSchedulerConfiguration"),
        ({"percentageOfNodesToScore": 101}, "percentageOfNodesToScore: must be a whole number, 0 to 100"),
        ({"podInitialBackoffSeconds": 0}, "podInitialBackoffSeconds: must be a whole number, 1 or more"),
        ({"podInitialBackoffSeconds": 20}, "podMaxBackoffSeconds: must be a whole number, 20 or more"),
        ({"podMaxBackoffSeconds": "20"}, "podMaxBackoffSeconds: must be a whole number, 1 or more"),
        (
            {"profiles": [{"percentageOfNodesToScore": -5}]},
            "profiles[0].percentageOfNodesToScore: must be a whole number",
        ),
        ({"nonsense": 1}, "nonsense: unknown field"),
        ({"profiles": {}}, "profiles: must be a list"),
        ({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}, "every schedulerName must be another"),
        ({"profiles": [{"name": "a"}]}, "profiles[0].name: unknown field"),
        ({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "X"}]}}}]}, "there is no scheduler plugin 'X'"),
        ({"profiles": [{"plugins": {"sieve": {}}}]}, "profiles[0].plugins.sieve: unknown extension point"),
        (
            {"profiles": [{"plugins": {"bind": {"disabled": [{"name": "*"}]}}}]},
            "profiles[0].plugins.bind: not supported",
        ),
        (
            {"profiles": [{"pluginConfig": [{"name": "NodeResourcesFit", "args": {"strategy": 1}}]}]},
            "profiles[0].pluginConfig[0].args.strategy: not supported",
        ),
        (
            {
                "profiles": [
                    {"pluginConfig": [{"name": "DefaultPreemption", "args": {"minCandidateNodesPercentage": 101}}]}
                ]
            },
            "profiles[0]: DefaultPreemption: nodes must be 0 or more, and the percentage 0 to 100",
        ),
        ({"extenders": [{"urlPrefix": "ftp://x"}]}, "extenders[0]: urlPrefix: must begin with http:// or https://"),
        ({"extenders": [{"urlPrefix": "http://x", "prioritizeVerb": "p"}]}, "extenders[0]: weight: must be positive"),
        ({"extenders": [{"urlPrefix": "http://x", "httpTimeout": "soon"}]}, "extenders[0]: httpTimeout: 'soon' is no"),
        (
            {"extenders": [{"urlPrefix": "https://x", "tlsConfig": {"caFile": "/nowhere"}}]},
            "extenders[0]: tlsConfig: ",
        ),
        ({"extenders": [{"urlPrefix": "http://x", "bindVerb": "b"}] * 2}, "extenders: only one may bind"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parsed(**fields)
    assert said in str(raised.value)


def test_what_the_queue_and_the_search_are_told() -> None:
    second = {"schedulerName": "second", "percentageOfNodesToScore": 0}
    profiles = [{"schedulerName": "default-scheduler", "percentageOfNodesToScore": None}, second]
    more = {"parallelism": 16, "podInitialBackoffSeconds": 3, "podMaxBackoffSeconds": 20}
    found = parse_configuration({**HEAD, "percentageOfNodesToScore": 30, **more, "profiles": profiles})
    assert [profile.plugins.percentage for profile in found.profiles] == [30, 0], "a profile's own goes first"
    assert [found.backoff.after(attempts) for attempts in (1, 2, 3, 4, 5, 10_000)] == [3, 6, 12, 20, 20, 20]
    usual = parse_configuration(HEAD)
    assert [usual.backoff.after(attempts) for attempts in (1, 2, 4, 5)] == [1, 2, 8, 10]
    assert usual.profiles[0].plugins.percentage == 0


@pytest.mark.parametrize("text", ["[]", "a: [", "\x00"])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scheduler.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"scheduler\.yaml: "):
        read_configuration(path)
    with pytest.raises(ConfigError, match="No such file"):
        read_configuration(tmp_path / "none")
