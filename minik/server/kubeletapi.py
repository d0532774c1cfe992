"""`nodes/NAME/proxy`: the two documents of a kubelet that tools read for what is used, `stats/summary` and `metrics/resource`.

They are made here of the node's last sample (`metricsapi.py`), not asked of an HTTP server on the node: there is none. Every other path
is 404. Source of the shapes: kubelet `pkg/apis/stats/v1alpha1` and `pkg/kubelet/metrics/collectors/resource_metrics.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minik.api import meta, times
from minik.api.errors import NotFound
from minik.api.meta import Obj, ROObj
from minik.link.samples import ContainerSample, NodeSample, Usage
from minik.server import resources
from minik.server.core import Core, Verb
from minik.server.metricsapi import NodeUsage, NodeUsages
from minik.server.request import Request, Response
from minik.server.selection import POD_NODE
from minik.server.verbs.common import kind_of

_TEXT = "text/plain; version=0.0.4"
Listed = list[tuple[ROObj, list[ContainerSample]]]
"""Pods of a node with their running containers."""


def handlers(usages: NodeUsages) -> Mapping[tuple[str, str], Mapping[str, Verb]]:
    """(resource, subresource) → verb → its function."""

    async def get(core: Core, request: Request) -> Response:
        name = resources.get(core, kind_of(request), "", request.info.name).name
        wanted = request.info.rest.strip("/")
        if wanted not in ("stats/summary", "metrics/resource"):
            raise NotFound("the server could not find the requested resource", details={})
        usage, sample = await usages.sampled(name)
        by_uid: dict[str, list[ContainerSample]] = {}
        for container in sample.containers:
            by_uid.setdefault(container.uid, []).append(container)
        here = [entry.obj for entry in core.cache.by_index("pods", POD_NODE, name)]
        listed = [(pod, by_uid[meta.uid(pod)]) for pod in here if meta.uid(pod) in by_uid]
        if wanted == "stats/summary":
            return Response(obj=summary(name, usage, sample, listed))
        return Response(raw=resource_metrics(sample, listed).encode(), content_type=_TEXT)

    return {("nodes", "proxy"): {"get": get}}


def summary(node: str, usage: NodeUsage, sample: NodeSample, listed: Listed) -> Obj:
    """A stats/v1alpha1 Summary."""
    time = times.format_time(sample.time)
    found = []
    for pod, containers in listed:
        rates = usage.pods.get(meta.uid(pod))
        used = rates.containers if rates is not None else {}
        entries = [
            {
                "name": each.name, "startTime": times.format_time(each.started),
                **_stats(time, each.usage, used[each.name][0] if each.name in used else None),
            }
            for each in containers
        ]  # fmt: skip
        whole = sum(cpu for cpu, _ in used.values()) if used else None
        reference = {"name": meta.name(pod), "namespace": meta.namespace(pod), "uid": meta.uid(pod)}
        found.append({"podRef": reference, **_stats(time, _sum(containers), whole), "containers": entries})
        if (pod.get("status") or {}).get("startTime"):
            found[-1]["startTime"] = pod["status"]["startTime"]
    return {"node": {"nodeName": node, **_stats(time, sample.node, usage.node[0])}, "pods": found}


def _stats(time: str, usage: Usage, cores: int | None) -> Obj:
    cpu: Obj = {"time": time, "usageCoreNanoSeconds": usage.cpu}
    if cores is not None:
        cpu["usageNanoCores"] = cores
    return {"cpu": cpu, "memory": {"time": time, "workingSetBytes": usage.memory}}


def _sum(containers: Iterable[ContainerSample]) -> Usage:
    known = list(containers)
    return Usage(sum(each.usage.cpu for each in known), sum(each.usage.memory for each in known))


def resource_metrics(sample: NodeSample, listed: Listed) -> str:
    """The text of /metrics/resource."""
    millis = round(sample.time.timestamp() * 1000)
    lines: list[str] = []

    def family(name: str, kind: str, help_: str, values: Iterable[tuple[Mapping[str, str], float]]) -> None:
        lines.append(f"# HELP {name} [STABLE] {help_}\n# TYPE {name} {kind}")
        for labels, value in values:
            text = ",".join(f'{key}="{label}"' for key, label in labels.items())
            lines.append(f"{name}{{{text}}} {value} {millis}" if text else f"{name} {value} {millis}")

    each = [
        ({"container": c.name, "namespace": meta.namespace(pod), "pod": meta.name(pod)}, c)
        for pod, containers in listed
        for c in containers
    ]
    whole = [
        ({"namespace": meta.namespace(pod), "pod": meta.name(pod)}, _sum(containers)) for pod, containers in listed
    ]
    cpu, memory = "Cumulative cpu time consumed by the {} in core-seconds", "Current working set of the {} in bytes"
    counter, gauge = "counter", "gauge"
    family(
        "container_cpu_usage_seconds_total", counter, cpu.format("container"), ((k, c.usage.cpu / 1e9) for k, c in each)
    )
    family(
        "container_memory_working_set_bytes", gauge, memory.format("container"), ((k, c.usage.memory) for k, c in each)
    )
    started = "Start time of the container since unix epoch in seconds"
    family("container_start_time_seconds", gauge, started, ((k, c.started.timestamp()) for k, c in each))
    family("node_cpu_usage_seconds_total", counter, cpu.format("node"), [({}, sample.node.cpu / 1e9)])
    family("node_memory_working_set_bytes", gauge, memory.format("node"), [({}, sample.node.memory)])
    family("pod_cpu_usage_seconds_total", counter, cpu.format("pod"), ((k, u.cpu / 1e9) for k, u in whole))
    family("pod_memory_working_set_bytes", gauge, memory.format("pod"), ((k, u.memory) for k, u in whole))
    lines.append(
        "# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise\n"
        "# TYPE resource_scrape_error gauge\nresource_scrape_error 0\n"
    )
    return "\n".join(lines)
