"""/healthz, /livez, /readyz (with ?verbose, ?exclude= and one path a check), /version and /metrics."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

from minik.metrics import Metrics
from minik.server.request import Handler, Request, Response
from minik.server.routing import no_such_resource
from minik.storage.cache import Cache

GIT_VERSION = "v1.36.0+minik"

Check = Callable[[], str]
"""What is wrong, in words; "" if nothing is."""

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": GIT_VERSION,
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "",
    "goVersion": "",
    "compiler": f"{platform.python_implementation()} {platform.python_version()}",
    "platform": f"{platform.system().lower()}/{'amd64' if platform.machine() == 'x86_64' else platform.machine()}",
}


async def version(_request: Request) -> Response:
    return Response(obj=VERSION)


def health(name: str, checks: Mapping[str, Check]) -> Handler:
    """The endpoint `/<name>` and those of its single checks below it."""

    async def handle(request: Request) -> Response:
        only = request.path.removeprefix(f"/{name}").strip("/")
        if only and only not in checks:
            raise no_such_resource()
        excluded = set(request.query.get("exclude", ()))
        lines, failed = [], False
        for check, run in checks.items():
            if only and check != only:
                continue
            if check in excluded:
                lines.append(f"[+]{check} excluded: ok")
                continue
            why = run()
            failed = failed or bool(why)
            lines.append(f"[-]{check} failed: {why}" if why else f"[+]{check} ok")
        if failed:
            text = "\n".join((*lines, f"{name} check failed"))
            return Response(500, raw=text.encode(), content_type="text/plain")
        if "verbose" in request.query:
            return Response(raw="\n".join((*lines, f"{name} check passed", "")).encode(), content_type="text/plain")
        return Response(raw=b"ok", content_type="text/plain")

    return handle


def metrics_endpoint(metrics: Metrics) -> Handler:
    async def handle(_request: Request) -> Response:
        return Response(raw=metrics.render().encode(), content_type="text/plain; version=0.0.4")

    return handle


def measure_storage(metrics: Metrics, cache: Cache) -> None:
    """Gauges of what is stored and watched, set at each scrape."""
    objects = metrics.gauge("apiserver_storage_objects", "Stored objects by resource.", ("resource",))
    size = metrics.gauge("apiserver_storage_size_bytes", "Bytes of the stored objects by resource.", ("resource",))
    watches = metrics.gauge("apiserver_registered_watchers", "Open watches by resource.", ("resource",))
    revision = metrics.gauge("minik_storage_revision", "The last revision that reads show.")

    def refresh() -> None:
        for resource, figures in cache.statistics().items():
            objects.labels(resource).set(figures["objects"])
            size.labels(resource).set(figures["bytes"])
            watches.labels(resource).set(figures["watches"])
        revision.labels().set(cache.revision)

    metrics.on_collect(refresh)
