"""The chain that every request goes through, from HTTP or from a client inside the process. Start reading here.

    errors        a StatusError, or anything unforeseen, becomes a `Status`
    info          the URL becomes a RequestInfo                                   routing.py
    authenticate  who asks, and as whom                                           authn/authenticate.py, impersonate.py
    metrics       counts and durations
    authorize     may they                                                        authz/access.py
    limits        not too much at a time
    route         the verb, subresource or endpoint                               app.py

`build` wraps them in that order. A middleware is a function from a handler to a handler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from minik.api.errors import InternalError, ServiceUnavailable, StatusError, TooManyRequests
from minik.api.registry import Registry
from minik.clock import Clock
from minik.metrics import Metrics
from minik.server.authn.impersonate import impersonated
from minik.server.authz.rules import Authorize, check
from minik.server.request import Handler, Middleware, Request, Response, User
from minik.server.routing import parse
from minik.storage.base import ClosedError, StoreError, StoreFullError

log = logging.getLogger("minik.server")

_LONG_RUNNING_VERBS = frozenset({"watch", "connect"})
_LONG_RUNNING_SUBRESOURCES = frozenset({"log", "exec", "attach", "portforward", "proxy"})
MAX_READING = 400
MAX_WRITING = 200
"""As kube-apiserver's --max-requests-inflight and --max-mutating-requests-inflight."""


def build(
    route: Handler,
    *,
    registry: Registry,
    authenticate: Callable[[Request], User],
    authorize: Authorize,
    metrics: Metrics,
    clock: Clock,
) -> Handler:
    """The whole chain around `route`."""
    middleware: list[Middleware] = [
        errors,
        info(registry),
        authentication(authenticate, authorize),
        measured(metrics, clock),
        authorization(authorize),
        limits(),
    ]
    handler = route
    for wrap in reversed(middleware):
        handler = wrap(handler)
    return handler


def errors(inner: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            return await inner(request)
        except StatusError as error:
            return status_response(error)
        except Exception as error:
            known = from_store(error)
            if known is None:
                log.exception("request failed", extra={"method": request.method, "path": request.path})
                known = InternalError(f"Internal error occurred: {error}")
            return status_response(known)

    return handle


def status_response(error: StatusError) -> Response:
    """The `Status` answer for an error."""
    response = Response(error.status_code, obj=error.to_status())
    seconds = (error.details or {}).get("retryAfterSeconds")
    if seconds:
        response.headers["Retry-After"] = str(seconds)
    return response


def from_store(error: Exception) -> StatusError | None:
    """What a storage failure means to a client."""
    if isinstance(error, ClosedError):
        return ServiceUnavailable("the server is shutting down")
    if isinstance(error, StoreFullError):
        return InternalError(f"Internal error occurred: the store refuses writes: {error}")
    if isinstance(error, StoreError):
        return InternalError(f"Internal error occurred: {error}")
    return None


def info(registry: Registry) -> Middleware:
    def wrap(inner: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            request.info = parse(request.method, request.path, request.query, registry)
            return await inner(request)

        return handle

    return wrap


def authentication(authenticate: Callable[[Request], User], authorize: Authorize) -> Middleware:
    def wrap(inner: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            request.user = authenticate(request)
            if not request.decoded:  # from outside the process
                request.user = impersonated(request, authorize)
            return await inner(request)

        return handle

    return wrap


def measured(metrics: Metrics, clock: Clock) -> Middleware:
    """apiserver_request_total and apiserver_request_duration_seconds, with upstream's labels."""
    labels = ("verb", "group", "version", "resource", "subresource")
    total = metrics.counter("apiserver_request_total", "Requests by verb, resource and answer code.", (*labels, "code"))
    durations = metrics.histogram("apiserver_request_duration_seconds", "Response latency in seconds.", labels)

    def wrap(inner: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            start = clock.monotonic()
            code = "500"
            try:
                response = await inner(request)
                code = str(response.status)
                return response
            except StatusError as error:
                code = str(error.status_code)
                raise
            finally:
                what = request.info
                key = (what.verb.upper(), what.group, what.version, what.plural, what.subresource)
                total.labels(*key, code).inc()
                if not is_long_running(request):
                    durations.labels(*key).observe(clock.monotonic() - start)

        return handle

    return wrap


def authorization(authorize: Authorize) -> Middleware:
    def wrap(inner: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            check(authorize, request)
            return await inner(request)

        return handle

    return wrap


def is_long_running(request: Request) -> bool:
    return request.info.verb in _LONG_RUNNING_VERBS or request.info.subresource in _LONG_RUNNING_SUBRESOURCES


def limits() -> Middleware:
    """Bounded numbers of reads and of writes at a time from outside the process; the rest is told to come again."""

    def wrap(inner: Handler) -> Handler:
        reading = writing = 0

        async def handle(request: Request) -> Response:
            nonlocal reading, writing
            if request.decoded or is_long_running(request):
                return await inner(request)
            if request.method in ("GET", "HEAD"):
                if reading >= MAX_READING:
                    raise too_many_requests()
                reading += 1
                try:
                    return await inner(request)
                finally:
                    reading -= 1
            if writing >= MAX_WRITING:
                raise too_many_requests()
            writing += 1
            try:
                return await inner(request)
            finally:
                writing -= 1

        return handle

    return wrap


def too_many_requests() -> TooManyRequests:
    return TooManyRequests("too many requests, please try again later.", details={"retryAfterSeconds": 1})
