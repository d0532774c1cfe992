"""What a pod's sandbox and its containers are to be made of: the pod's words in the engine's (`SandboxSpec`, `ContainerSpec`).

Called by `act.py` right before it has something made. Only the objects that a container's environment names are read here.
"""

from __future__ import annotations

from pathlib import Path

from minik.agent import env, names
from minik.agent.actions import Container, Start
from minik.agent.containers.base import ContainerSpec, ImageInfo, NoSuchContainer, SandboxSpec
from minik.agent.context import NodeContext
from minik.agent.etcfiles import pod_hostname
from minik.agent.observed import ObservedPod, attempt_of
from minik.agent.resources import container_limits
from minik.agent.security import container_security
from minik.agent.sources import fetch
from minik.api import meta
from minik.api.meta import ROObj


def sandbox_spec(ctx: NodeContext, pod: ROObj, attempt: int, runtime: str) -> SandboxSpec:
    """`runtime`: which of the engine's the pod's RuntimeClass names; "" for the usual one."""
    spec = pod["spec"]
    is_host = bool(spec.get("hostNetwork"))
    labels = names.labels(ctx.name, pod, names.SANDBOX, attempt)
    labels[names.POD_IP] = ctx.pod_ip(pod)
    if runtime:
        labels[names.RUNTIME] = runtime
    return SandboxSpec(
        name=names.container_name(pod, names.SANDBOX, attempt),
        runtime=runtime,
        labels=labels,
        hostname="" if is_host else pod_hostname(pod, ctx.name)[0],
        host_network=is_host,
        host_pid=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        sysctls={s["name"]: s["value"] for s in (spec.get("securityContext") or {}).get("sysctls") or ()},
    )


async def container_spec(ctx: NodeContext, pod: ROObj, action: Start, image: ImageInfo) -> ContainerSpec:
    """Everything that makes up the container. Raises env.ConfigError, VolumeError, NoSuchContainer (the sandbox does not run)."""
    container, of_pod = action.container, pod["spec"]
    name: str = container["name"]
    observed = ctx.observations.pod(meta.uid(pod))
    sandbox = observed.sandbox
    if sandbox is None:
        raise NoSuchContainer("the pod's sandbox does not run")
    facts = ctx.facts(ctx.sandbox_ip(pod))
    found: dict[env.Reference, ROObj] = {}
    for reference in env.references(container):
        obj = await fetch(ctx.client, meta.namespace(pod), reference)
        if obj is not None:
            found[reference] = obj
    links = of_pod.get("enableServiceLinks", True)
    services = env.service_environment(ctx.services(), meta.namespace(pod), links=links is not False)
    variables = env.environment(pod, container, found=found, services=services, facts=facts)
    table = dict(variables)
    labels = names.labels(ctx.name, pod, name, action.attempt)
    labels[names.SANDBOX_ATTEMPT] = str(attempt_of(sandbox))
    labels[names.BACKOFF] = str(action.backoff)
    labels[names.HASH] = names.container_hash(container)
    labels[names.IMAGE_ID] = image.digests[0] if image.digests else image.id
    command, args = container.get("command"), container.get("args")
    return ContainerSpec(
        name=names.container_name(pod, name, action.attempt),
        image=image.id,
        sandbox=sandbox.id,
        labels=labels,
        command=[env.expand(word, table) for word in command] if command else None,
        args=[env.expand(word, table) for word in args] if args else None,
        env=variables,
        working_dir=container.get("workingDir") or "",
        mounts=ctx.volumes.mounts(pod, container, action.attempt, table, facts),
        limits=container_limits(pod, container, node_memory=ctx.memory, min_oom_score=ctx.min_oom_score),
        security=container_security(
            pod, container, image, read_profile=lambda profile: _read_profile(ctx.data_dir / "seccomp", profile)
        ),
        share_pid=bool(of_pod.get("shareProcessNamespace")),
        pid_of=_target_of(container, observed),
        host_pid=bool(of_pod.get("hostPID")),
        host_ipc=bool(of_pod.get("hostIPC")),
        host_network=bool(of_pod.get("hostNetwork")),
        tty=bool(container.get("tty")),
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        stop_signal=(container.get("lifecycle") or {}).get("stopSignal") or "",
        runtime=sandbox.labels.get(names.RUNTIME, ""),
    )


def _target_of(container: Container, observed: ObservedPod) -> str:
    """The id of the container whose processes an ephemeral one is to see; "" for none. ConfigError if it does not run."""
    name = container.get("targetContainerName") or ""
    target = observed.latest(name) if name else None
    if name and (target is None or target.state != "running"):
        raise env.ConfigError(f'unable to find target container "{name}"')
    return target.id if target is not None else ""


def _read_profile(directory: Path, name: str) -> str:
    """A Localhost seccomp profile, `name` in `directory`."""
    root = directory.resolve()
    path = (root / name).resolve()
    if root not in path.parents:
        raise FileNotFoundError(name)
    return path.read_text()
