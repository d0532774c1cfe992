"""Service account tokens: signed by TokenRequest, verified for every bearer of one (KEP-1205 bound tokens).

A token is a JWT (ES256). It is good while its signature and time hold and the account, and the pod it is bound to, still exist with
the same uid: those are looked up in the cache for each request, the signature is verified once per token.

The tokens in Secrets of type `kubernetes.io/service-account-token` (`sign_legacy`) have no end of their own: they are good while the Secret
holds them and the account is there.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.errors import Unauthorized
from minik.api.meta import ROObj
from minik.clock import Clock, Entropy
from minik.server.request import User
from minik.storage.cache import Cache

_REMEMBERED = 4096
_PRIVATE = "kubernetes.io"
LEGACY_ISSUER = "kubernetes/serviceaccount"
_LEGACY = "kubernetes.io/serviceaccount/"
_INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
"""Label of a Secret whose token is not to be accepted any more (KEP-2799)."""


@dataclass(frozen=True, slots=True)
class _Verified:
    claims: Mapping[str, Any]
    user: User


def _legacy_user(claims: Mapping[str, Any]) -> User:
    namespace = claims[f"{_LEGACY}namespace"]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(claims["sub"], frozenset(groups), claims[f"{_LEGACY}service-account.uid"])


class ServiceAccountTokens:
    """Signs and verifies. `signing_key`: PEM of a P-256 private key. `issuer` and `audience` default to the cluster's own name."""

    def __init__(
        self,
        cache: Cache,
        clock: Clock,
        entropy: Entropy,
        *,
        signing_key: bytes,
        issuer: str = "https://kubernetes.default.svc.cluster.local",
    ) -> None:
        self._cache, self._clock, self._entropy = cache, clock, entropy
        self._key_pem = signing_key
        self._public_pem: bytes = b""
        self._key_id = ""
        self.issuer = issuer
        self._verified: OrderedDict[str, _Verified] = OrderedDict()

    def _load(self) -> None:
        if self._public_pem:
            return
        from minik import pki  # on first use: cryptography takes 85 ms to import

        self._public_pem = pki.public_key_pem(self._key_pem)
        self._key_id = base64.urlsafe_b64encode(hashlib.sha256(self._public_pem).digest()).rstrip(b"=").decode()

    def sign(self, account: ROObj, *, audiences: Sequence[str], seconds: int, bound: ROObj | None) -> tuple[str, int]:
        """(token, expiry as unix seconds) for `account`, bound to the Pod or Secret `bound` if given."""
        import jwt

        self._load()
        now = int(self._clock.now().timestamp())
        namespace, name = meta.key(account)
        private: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": name, "uid": meta.uid(account)}}
        if bound is not None:
            private[bound["kind"].lower()] = {"name": meta.name(bound), "uid": meta.uid(bound)}
            node = (bound.get("spec") or {}).get("nodeName") if bound["kind"] == "Pod" else None
            if node:
                entry = self._cache.get(f"nodes//{node}")
                private["node"] = {"name": node, **({"uid": meta.uid(entry.obj)} if entry else {})}
        claims = {
            "aud": list(audiences) or [self.issuer],
            "exp": now + seconds,
            "iat": now,
            "nbf": now,
            "iss": self.issuer,
            "jti": self._entropy.uid(),
            "sub": f"system:serviceaccount:{namespace}:{name}",
            _PRIVATE: private,
        }
        return jwt.encode(claims, self._key_pem, algorithm="ES256", headers={"kid": self._key_id}), now + seconds

    def sign_legacy(self, account: ROObj, secret: ROObj) -> str:
        """The token of a token Secret (`pkg/serviceaccount/legacy.go`)."""
        import jwt

        self._load()
        namespace, name = meta.key(account)
        claims = {
            "iss": LEGACY_ISSUER,
            f"{_LEGACY}namespace": namespace,
            f"{_LEGACY}secret.name": meta.name(secret),
            f"{_LEGACY}service-account.name": name,
            f"{_LEGACY}service-account.uid": meta.uid(account),
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return jwt.encode(claims, self._key_pem, algorithm="ES256", headers={"kid": self._key_id})

    def verify(self, token: str, audiences: Sequence[str] = ()) -> User:
        """The service account that `token` speaks for. Raises Unauthorized."""
        known = self._verified.get(token)
        if known is None:
            known = self._remember(token)
        claims = known.claims
        if claims["iss"] == LEGACY_ISSUER:
            self._check_legacy(token, claims, audiences)
            return known.user
        if claims["exp"] <= self._clock.now().timestamp():
            raise Unauthorized("Unauthorized")
        if not set(audiences or (self.issuer,)) & set(claims["aud"]):
            raise Unauthorized("Unauthorized")
        self._check_bound(claims[_PRIVATE])
        return known.user

    def _remember(self, token: str) -> _Verified:
        import jwt

        self._load()
        try:
            claims = jwt.decode(
                token, self._public_pem, algorithms=["ES256"], issuer=[self.issuer, LEGACY_ISSUER],
                options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                         "require": ["iss", "sub"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise Unauthorized("Unauthorized") from error
        if claims["iss"] == LEGACY_ISSUER:
            return self._keep(token, _Verified(claims, _legacy_user(claims)))
        if "exp" not in claims or "aud" not in claims:
            raise Unauthorized("Unauthorized")
        private = claims[_PRIVATE]
        namespace, account = private["namespace"], private["serviceaccount"]
        extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]}
        if "pod" in private:
            extra["authentication.kubernetes.io/pod-name"] = [private["pod"]["name"]]
            extra["authentication.kubernetes.io/pod-uid"] = [private["pod"]["uid"]]
        if "node" in private:
            extra["authentication.kubernetes.io/node-name"] = [private["node"]["name"]]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        return self._keep(token, _Verified(claims, User(claims["sub"], frozenset(groups), account["uid"], extra)))

    def _keep(self, token: str, verified: _Verified) -> _Verified:
        self._verified[token] = verified
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return verified

    def _check_legacy(self, token: str, claims: Mapping[str, Any], audiences: Sequence[str]) -> None:
        """Raises Unauthorized unless the Secret still holds the token, and the account is the same."""
        namespace = claims[f"{_LEGACY}namespace"]
        secret = self._cache.get(f"secrets/{namespace}/{claims[f'{_LEGACY}secret.name']}")
        account = self._cache.get(f"serviceaccounts/{namespace}/{claims[f'{_LEGACY}service-account.name']}")
        if (
            secret is None
            or account is None
            or (audiences and self.issuer not in audiences)
            or meta.is_deleting(secret.obj)
            or _INVALID_SINCE in meta.labels(secret.obj)
            or (secret.obj.get("data") or {}).get("token") != base64.b64encode(token.encode()).decode()
            or meta.uid(account.obj) != claims[f"{_LEGACY}service-account.uid"]
        ):
            raise Unauthorized("Unauthorized")

    def _check_bound(self, private: Mapping[str, Any]) -> None:
        namespace = private["namespace"]
        for claim, resource in (("serviceaccount", "serviceaccounts"), ("pod", "pods"), ("secret", "secrets")):
            ref = private.get(claim)
            if ref is None:
                continue
            entry = self._cache.get(f"{resource}/{namespace}/{ref['name']}")
            if entry is None or meta.uid(entry.obj) != ref["uid"]:
                raise Unauthorized("Unauthorized")

    def discovery(self) -> dict[str, Any]:
        """What /.well-known/openid-configuration says of the issuer (KEP-1393)."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set, for /openid/v1/jwks."""
        import jwt

        self._load()
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        algorithm = jwt.get_algorithm_by_name("ES256")
        key: dict[str, Any] = algorithm.to_jwk(load_pem_public_key(self._public_pem), as_dict=True)
        return {"keys": [{**key, "use": "sig", "alg": "ES256", "kid": self._key_id}]}
