"""Getting a container's image onto the node: references, pull policies, back-off, credentials. Messages are kubelet's.

`ImagePuller.ensure` is what `act.py` calls; `plan_pull` decides and is pure.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

import orjson

from minik.agent.containers.base import ContainerRuntime, ImageFailure, ImageInfo, RuntimeFailure
from minik.aio import Tasks
from minik.api import meta
from minik.api.core_v1.pod_defaults import pull_policy
from minik.api.errors import StatusError
from minik.api.meta import ROObj
from minik.api.times import format_duration
from minik.client.client import Client
from minik.clock import Clock

FIRST_BACKOFF, LAST_BACKOFF = 10.0, 300.0
"""Seconds between attempts to pull an image that failed: doubled each time."""
DEFAULT_REGISTRY = "docker.io"

_DOMAIN = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)
_ID = re.compile(r"sha256:[0-9a-f]{64}")

Say = Callable[[str, str, str], None]
"""(Normal or Warning, reason, message): records an Event about the container."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed image reference (distribution/reference grammar)."""

    registry: str
    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        """What to ask the engine for."""
        name = f"{self.registry}/{self.repository}"
        if self.digest:
            return f"{name}@{self.digest}"
        return f"{name}:{self.tag}"


def parse_reference(text: str) -> Reference:
    """`nginx` → docker.io/library/nginx:latest. Raises ImageFailure (InvalidImageName)."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ImageFailure(
            "InvalidImageName",
            f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": invalid reference format',
        )
    first, slash, rest = match["name"].partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = DEFAULT_REGISTRY, match["name"]
    if registry in ("index.docker.io", DEFAULT_REGISTRY):
        registry = DEFAULT_REGISTRY
        if "/" not in repository:
            repository = f"library/{repository}"
    tag = match["tag"] or ("" if match["digest"] else "latest")
    return Reference(registry, repository, tag, match["digest"] or "")


@dataclass(frozen=True, slots=True)
class Failures:
    """How often in a row a pod's image could not be pulled, when last (monotonic seconds), and why."""

    count: int = 0
    last: float = 0.0
    reason: str = "ErrImagePull"
    message: str = ""

    @property
    def retry_at(self) -> float:
        if not self.count:
            return 0.0
        return self.last + min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(self.count - 1, 10))


def plan_pull(policy: str, *, present: bool, failures: Failures, now: float) -> Literal["use", "pull", "never", "wait"]:
    """What to do about an image: use the one that is there, pull, refuse (policy Never), or wait for the back-off."""
    if present and policy != "Always":
        return "use"
    if policy == "Never":
        return "use" if present else "never"
    return "wait" if now < failures.retry_at else "pull"


def credentials(reference: Reference, configs: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The logins of `auths` entries (docker config.json) that fit the image's registry, the most specific first. What users wrote
    wrong into their secrets is passed over."""
    found: list[tuple[int, dict[str, str]]] = []
    for config in configs:
        auths = config.get("auths")
        for server, entry in auths.items() if isinstance(auths, Mapping) else ():
            host = re.sub(r"^https?://", "", server).rstrip("/")
            host = re.sub(r"/v[12]$", "", host)
            if host in ("index.docker.io", "registry-1.docker.io"):
                host = DEFAULT_REGISTRY
            login = _login(entry) if _fits(host, reference) else None
            if login is not None:
                found.append((-len(host), login))
    return [login for _, login in sorted(found, key=lambda pair: pair[0])]


def _fits(server: str, reference: Reference) -> bool:
    """Whether a login for `server`, a registry or a path in one, is meant for the image. As with kubelet, each label of the
    registry's name may be a glob; a path fits itself and what is below it."""
    registry, _, path = server.partition("/")
    name, _, port = registry.partition(":")
    its_name, _, its_port = reference.registry.partition(":")
    labels, its_labels = name.split("."), its_name.split(".")
    return (
        port == its_port
        and len(labels) == len(its_labels)
        and all(fnmatchcase(its, label) for its, label in zip(its_labels, labels, strict=True))
        and (not path or f"{reference.repository}/".startswith(f"{path}/"))
    )


def _login(entry: Any) -> dict[str, str] | None:
    if not isinstance(entry, Mapping):
        return None
    user, password = entry.get("username"), entry.get("password", "")
    if user:
        return {"username": user, "password": password} if isinstance(user, str) and isinstance(password, str) else None
    try:
        user, colon, password = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    except (TypeError, ValueError):  # no text, no base64, no UTF-8
        return None
    return {"username": user, "password": password} if colon else None


def docker_config(secret: ROObj) -> Mapping[str, Any] | None:
    """The docker config inside a Secret of type kubernetes.io/dockerconfigjson or dockercfg; None if it is neither."""
    data = secret.get("data") or {}
    for key, wrap in ((".dockerconfigjson", False), (".dockercfg", True)):
        if key in data:
            try:
                value = orjson.loads(base64.b64decode(data[key]))
            except ValueError:  # no base64, or no JSON
                return None
            if not isinstance(value, dict):
                return None
            return {"auths": value} if wrap else value
    return None


class _Pulled(NamedTuple):
    """An image, and how long the engine took: another time than that which a pod waited, which may have joined late."""

    image: ImageInfo
    seconds: float


class ImagePuller:
    """Images for one node. Pods that want the same image with the same login share one pull."""

    def __init__(self, runtime: ContainerRuntime, client: Client, *, clock: Clock) -> None:
        self._runtime, self._client, self._clock = runtime, client, clock
        self._failures: dict[tuple[str, str], Failures] = {}
        self._pulls: dict[tuple[str, bytes], asyncio.Task[_Pulled | RuntimeFailure]] = {}
        self._tasks = Tasks("images")

    async def ensure(self, pod: ROObj, container: Mapping[str, Any], say: Say) -> ImageInfo:
        """The container's image on this node, pulled if its policy says so. Raises ImageFailure, also while it is backing off."""
        image: str = container["image"]
        name = image if _ID.fullmatch(image) else str(parse_reference(image))
        policy = container.get("imagePullPolicy") or pull_policy(image)
        have = await self._find(image, name)
        key = (meta.uid(pod), name)
        failures = self._failures.get(key, Failures())
        match plan_pull(policy, present=have is not None, failures=failures, now=self._clock.monotonic()):
            case "use":
                assert have is not None
                say("Normal", "Pulled", f'Container image "{image}" already present on machine')
                return have
            case "never":
                message = f'Container image "{image}" is not present with pull policy of Never'
                say("Warning", "ErrImageNeverPull", message)
                raise ImageFailure("ErrImageNeverPull", message)
            case "wait":
                message = f'Back-off pulling image "{image}"'
                say("Normal", "BackOff", message)
                say("Warning", "Failed", "Error: ImagePullBackOff")
                raise ImageFailure("ImagePullBackOff", f"{message}: {failures.reason}: {failures.message}")
        return await self._pull(pod, image, name, key, say)

    async def _find(self, image: str, name: str) -> ImageInfo | None:
        """By the name as written too: an image that was loaded or built may be known by that alone."""
        found = await self._runtime.image(name)
        if found is None and name != image:
            found = await self._runtime.image(image)
        return found

    async def _pull(self, pod: ROObj, image: str, name: str, key: tuple[str, str], say: Say) -> ImageInfo:
        say("Normal", "Pulling", f'Pulling image "{image}"')
        began = self._clock.monotonic()
        try:
            pulled = await self._shared_pull(name, await self._logins(pod, image))
        except ImageFailure as error:
            before = self._failures.get(key, Failures())
            self._failures[key] = Failures(before.count + 1, self._clock.monotonic(), error.reason, str(error))
            say("Warning", "Failed", f'Failed to pull image "{image}": {error}')
            say("Warning", "Failed", f"Error: {error.reason}")
            raise
        self._failures.pop(key, None)
        took, waited = format_duration(pulled.seconds), format_duration(self._clock.monotonic() - began)
        message = f'Successfully pulled image "{image}" in {took} ({waited} including waiting)'
        say("Normal", "Pulled", f"{message}. Image size: {pulled.image.size} bytes.")
        return pulled.image

    async def _shared_pull(self, name: str, logins: list[dict[str, str]]) -> _Pulled:
        key = (name, orjson.dumps(logins))  # who logs in otherwise may get another answer
        pull = self._pulls.get(key)
        if pull is None:
            pull = self._pulls[key] = self._tasks.start(f"pull {name}", self._try_logins(name, logins))
            pull.add_done_callback(lambda _: self._pulls.pop(key, None))
        outcome = await asyncio.shield(pull)  # one pod that is given up does not stop the pull for the others
        if isinstance(outcome, RuntimeFailure):
            raise outcome
        return outcome

    async def _try_logins(self, name: str, logins: list[dict[str, str]]) -> _Pulled | RuntimeFailure:
        """The image, or why not (as a value: it is the failure of those who asked, not of the task)."""
        failure: RuntimeFailure = RuntimeFailure(f"{name} was not pulled")
        attempts: list[dict[str, str] | None] = [*logins] or [None]
        began = self._clock.monotonic()
        for login in attempts:
            try:
                image = await self._runtime.pull(name, auth=login)
                return _Pulled(image, self._clock.monotonic() - began)
            except ImageFailure as error:
                failure = error
            except RuntimeFailure as error:
                return error
        return failure

    async def _logins(self, pod: ROObj, image: str) -> list[dict[str, str]]:
        """From the pod's imagePullSecrets; what cannot be read is left out, as kubelet does."""
        names = [entry.get("name") for entry in pod["spec"].get("imagePullSecrets") or ()]
        if not names or _ID.fullmatch(image):
            return []
        configs = []
        for name in filter(None, names):
            try:
                config = docker_config(await self._client.get("secrets", name, meta.namespace(pod)))
            except StatusError:
                continue
            if config is not None:
                configs.append(config)
        return credentials(parse_reference(image), configs)

    def forget(self, pod_uid: str) -> None:
        """The pod is gone; so is what was remembered of its failures."""
        for key in [key for key in self._failures if key[0] == pod_uid]:
            del self._failures[key]

    async def close(self) -> None:
        await self._tasks.close()
