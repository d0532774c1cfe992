"""Who asks: a local client's own user, a client certificate (CN and O), then a bearer token. Called by `chain.py`.

Nobody is anonymous except on the few paths of `ANONYMOUS_PATHS`.
"""

from __future__ import annotations

from collections.abc import Callable

from minik.api.errors import Unauthorized
from minik.clock import Clock
from minik.server.authn import bootstrap
from minik.server.authn.tokens import ServiceAccountTokens
from minik.server.request import ANONYMOUS, Request, User
from minik.storage.cache import Cache

ANONYMOUS_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version", "/minik/v1/ca"})
_PREFIXES = ("/healthz/", "/livez/", "/readyz/")
_USERS_REMEMBERED = 10_000


def is_open(path: str) -> bool:
    """Whether a stranger may ask for this path."""
    return path in ANONYMOUS_PATHS or path.startswith(_PREFIXES)


def authenticator(cache: Cache, tokens: ServiceAccountTokens, clock: Clock) -> Callable[[Request], User]:
    """A function that finds a request's user; it raises Unauthorized."""
    by_subject: dict[tuple[str, tuple[str, ...]], User] = {}

    def from_certificate(request: Request) -> User:
        assert request.certificate is not None
        subject = (request.certificate["cn"], tuple(request.certificate["o"]))
        user = by_subject.get(subject)
        if user is None:
            if len(by_subject) > _USERS_REMEMBERED:
                by_subject.clear()
            user = by_subject[subject] = User(subject[0], frozenset({*subject[1], "system:authenticated"}))
        return user

    def authenticate(request: Request) -> User:
        if request.user is not ANONYMOUS:
            return request.user  # a client inside the process
        if request.certificate is not None and request.certificate["cn"]:
            return from_certificate(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            token = token.strip()
            if bootstrap.is_bootstrap_token(token):
                user = bootstrap.verify(cache, token, clock.now())
                if user is None:
                    raise Unauthorized("Unauthorized")
                return user
            return tokens.verify(token)
        if is_open(request.path):
            return ANONYMOUS
        raise Unauthorized("Unauthorized")

    return authenticate
