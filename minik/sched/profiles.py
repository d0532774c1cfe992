"""The scheduler's configuration: `minik server --scheduler-config FILE`, a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1).

Of it count `profiles` (`schedulerName`, `plugins`, `pluginConfig`, `percentageOfNodesToScore`), `extenders`, `percentageOfNodesToScore`
for profiles that say nothing of it, `podInitialBackoffSeconds` and `podMaxBackoffSeconds`. Several profiles share one cluster and one
queue: a pod goes by the profile that its `spec.schedulerName` names. What is not supported is an error at the start, never ignored in
silence; but settings of kube-scheduler's own process (`leaderElection`, `clientConnection`, …) have no meaning here and are accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minik.sched.extender import Extender, ignored_resources, parse_extender
from minik.sched.plugins import Plugins, build, default_plugins
from minik.sched.preemption import ENOUGH, Enough
from minik.sched.queue import USUAL_BACKOFF, Backoff

DEFAULT_NAME = "default-scheduler"
API_VERSION = "kubescheduler.config.k8s.io/v1"

_FIELDS = frozenset({
    "apiVersion", "kind", "metadata", "profiles", "extenders", "leaderElection", "clientConnection", "enableProfiling",
    "enableContentionProfiling", "healthzBindAddress", "metricsBindAddress", "parallelism", "delayCacheUntilActive",
    "percentageOfNodesToScore", "podInitialBackoffSeconds", "podMaxBackoffSeconds",
})  # fmt: skip
_POINTS = frozenset({
    "multiPoint", "queueSort", "preEnqueue", "preFilter", "filter", "postFilter", "preScore", "score", "reserve", "permit", "preBind",
    "bind", "postBind",
})  # fmt: skip
_FIXED = ("queueSort", "preEnqueue", "permit", "bind", "postBind")
"""Extension points at which minik has what it has: nothing can be put there or taken away."""


_PREEMPTION = "DefaultPreemption"
_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "NodeResourcesFit": frozenset({"ignoredResources", "ignoredResourceGroups", "scoringStrategy"}),
    "NodeResourcesBalancedAllocation": frozenset({"resources"}),
    "PodTopologySpread": frozenset({"defaultConstraints", "defaultingType"}),
    "NodeAffinity": frozenset({"addedAffinity"}),
    "InterPodAffinity": frozenset({"hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods"}),
    _PREEMPTION: frozenset({"minCandidateNodesAbsolute", "minCandidateNodesPercentage"}),
}
"""Plugin → what arguments it knows."""


class ConfigError(ValueError):
    """What is wrong with a configuration, with the path of the field."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one schedulerName means."""

    name: str
    plugins: Plugins
    extenders: Sequence[Extender] = ()
    preemption: Enough | None = ENOUGH
    """None: its pods never preempt."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a scheduler is told: its profiles, and what they have in common."""

    profiles: Sequence[Profile]
    backoff: Backoff = USUAL_BACKOFF


def default_profiles() -> Sequence[Profile]:
    """One, with what kube-scheduler does if it is told nothing."""
    return (Profile(DEFAULT_NAME, default_plugins()),)


def read_configuration(path: Path) -> Configuration:
    """What a file says, YAML or JSON. Raises ConfigError, with the file's name."""
    from minik.api.yaml import load_yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return parse_configuration(load_yaml(text)[0])
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_configuration(config: Any) -> Configuration:
    """What a KubeSchedulerConfiguration says. Raises ConfigError."""
    if not isinstance(config, Mapping):
        raise ConfigError("a KubeSchedulerConfiguration is wanted")
    if config.get("apiVersion") != API_VERSION or config.get("kind") != "KubeSchedulerConfiguration":
        raise ConfigError(f"apiVersion must be {API_VERSION} and kind KubeSchedulerConfiguration")
    for field in config:
        if field not in _FIELDS:
            raise ConfigError(f"{field}: unknown field")
    extenders = tuple(
        _at(f"extenders[{number}]", lambda each=each: parse_extender(each))  # type: ignore[misc]  # the usual way to bind it now
        for number, each in enumerate(_list(config, "extenders"))
    )
    if sum(extender.binds for extender in extenders) > 1:
        raise ConfigError("extenders: only one may bind (bindVerb)")
    backoff = _backoff(config)
    percentage = _number(config, "percentageOfNodesToScore", default=0, most=100)
    given = _list(config, "profiles") or [{"schedulerName": DEFAULT_NAME}]
    ignored = ignored_resources(_list(config, "extenders"))
    found = [_profile(each, f"profiles[{number}]", extenders, ignored, percentage) for number, each in enumerate(given)]
    names = [profile.name for profile in found]
    if len(set(names)) < len(names):
        raise ConfigError("profiles: every schedulerName must be another")
    return Configuration(found, backoff)


def _backoff(config: Mapping[str, Any]) -> Backoff:
    initial = _number(config, "podInitialBackoffSeconds", default=int(USUAL_BACKOFF.initial), least=1)
    longest = _number(config, "podMaxBackoffSeconds", default=int(USUAL_BACKOFF.longest), least=initial)
    return Backoff(initial, longest)


def _number(
    given: Mapping[str, Any], field: str, *, default: int, least: int = 0, most: int | None = None, where: str = ""
) -> int:
    """A whole number; `default` if nothing is said of it. Raises ConfigError."""
    value = given.get(field)
    if value is None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        raise ConfigError(f"{where}{field}: must be a whole number, {bounds}")
    return value


def _profile(given: Any, where: str, extenders: Sequence[Extender], ignored: Sequence[str], percentage: int) -> Profile:
    """`percentage`: of nodes to score, if the profile does not say."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: must be an object")
    for field in given:
        if field not in ("schedulerName", "plugins", "pluginConfig", "percentageOfNodesToScore"):
            raise ConfigError(f"{where}.{field}: unknown field")
    for point, part in (given.get("plugins") or {}).items():
        if point not in _POINTS:
            raise ConfigError(f"{where}.plugins.{point}: unknown extension point")
        if point in _FIXED and ((part or {}).get("enabled") or (part or {}).get("disabled")):
            raise ConfigError(f"{where}.plugins.{point}: not supported; minik's is fixed")
    name = given.get("schedulerName") or DEFAULT_NAME
    if not isinstance(name, str):
        raise ConfigError(f"{where}.schedulerName: must be a string")
    _check_arguments(given, where)
    share = _number(given, "percentageOfNodesToScore", default=percentage, most=100, where=f"{where}.")
    plugins = replace(_at(where, lambda: build(_ignoring(given, ignored))), percentage=share)
    return Profile(name, plugins, extenders, _at(where, lambda: _preemption(given)))


def _check_arguments(given: Mapping[str, Any], where: str) -> None:
    """That there are no arguments that nobody would look at."""
    for number, each in enumerate(given.get("pluginConfig") or ()):
        known = _ARGUMENTS.get(each.get("name") or "", frozenset())
        for field in each.get("args") or {}:
            if field not in known and field not in ("apiVersion", "kind"):
                raise ConfigError(f"{where}.pluginConfig[{number}].args.{field}: not supported")


def _preemption(given: Mapping[str, Any]) -> Enough | None:
    """What a profile says of it. ValueError for numbers that make no sense."""
    for point in ("postFilter", "multiPoint"):
        part = (given.get("plugins") or {}).get(point) or {}
        if point == "postFilter" and any(each.get("name") != _PREEMPTION for each in part.get("enabled") or ()):
            raise ValueError(f"plugins.postFilter.enabled: there is nothing but {_PREEMPTION}")
        disabled = {each.get("name") for each in part.get("disabled") or ()}
        enabled = {each.get("name") for each in part.get("enabled") or ()}
        if disabled & {"*", _PREEMPTION} and _PREEMPTION not in enabled:
            return None
    arguments: Mapping[str, Any] = {}
    for each in given.get("pluginConfig") or ():
        if each["name"] == _PREEMPTION:
            arguments = each.get("args") or {}
    nodes = arguments.get("minCandidateNodesAbsolute", ENOUGH.nodes)
    percent = arguments.get("minCandidateNodesPercentage", ENOUGH.percent)
    if not (isinstance(nodes, int) and nodes >= 0 and isinstance(percent, int) and 0 <= percent <= 100):
        raise ValueError(f"{_PREEMPTION}: nodes must be 0 or more, and the percentage 0 to 100")
    return Enough(nodes, percent)


def _ignoring(given: Mapping[str, Any], resources: Sequence[str]) -> Mapping[str, Any]:
    """The profile, whose NodeResourcesFit leaves these resources to the extenders."""
    if not resources:
        return given
    others: list[Any] = []
    arguments: Mapping[str, Any] = {}
    for each in given.get("pluginConfig") or ():
        if each["name"] == "NodeResourcesFit":
            arguments = each.get("args") or {}
        else:
            others.append(each)
    names = [*(arguments.get("ignoredResources") or ()), *resources]
    own = {"name": "NodeResourcesFit", "args": {**arguments, "ignoredResources": names}}
    return {**given, "pluginConfig": [*others, own]}


def _list(config: Mapping[str, Any], field: str) -> Sequence[Any]:
    found = config.get(field)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ConfigError(f"{field}: must be a list")
    return found


def _at(where: str, make: Callable[[], Any]) -> Any:
    """What `make` gives; what it complains of, with the place."""
    try:
        return make()
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where}: {error}") from error
