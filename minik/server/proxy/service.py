"""The way to a program that the API server itself calls by a ServiceReference: aggregated API servers and admission webhooks."""

from __future__ import annotations

import base64
import binascii
import random
import ssl
from functools import lru_cache
from pathlib import Path

from minik.api.core_v1 import services
from minik.api.errors import ServiceUnavailable
from minik.server.core import Core
from minik.server.proxy import location
from minik.server.proxy.target import Target


def backend(core: Core, namespace: str, name: str, number: int) -> Target:
    """One of the Service's endpoints, by chance; `number`: the Service's port. Raises ServiceUnavailable."""
    entry = core.cache.get(f"services/{namespace}/{name}")
    if entry is None:
        raise ServiceUnavailable(f'service "{namespace}/{name}" not found')
    service = entry.obj
    if services.type_of(service) == "ExternalName":
        return Target(service["spec"]["externalName"], number)
    port = next((port for port in services.ports(service) if port["port"] == number), None)
    if port is None:
        raise ServiceUnavailable(f'no service port {number} found for service "{name}"')
    found = location.endpoints(core, namespace, name, port.get("name") or "")
    if not found:
        raise ServiceUnavailable(f'no endpoints available for service "{name}"')
    rng: random.Random = core.entropy.rng
    return rng.choice(found)


@lru_cache(maxsize=64)
def trust(bundle: str, *, is_blind: bool = False, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """TLS that believes the authorities in `bundle` (PEM in base64; "" for the host's own), or anybody. `client`: files of the certificate
    that is shown, and of its key. Raises ServiceUnavailable for a bundle that is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if is_blind:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif bundle:
        try:
            context.load_verify_locations(cadata=base64.b64decode(bundle).decode())
        except (binascii.Error, UnicodeDecodeError, ssl.SSLError) as error:
            raise ServiceUnavailable(f"the caBundle cannot be read: {error}") from error
    else:
        context.load_default_certs()
    if client is not None:
        context.load_cert_chain(*client)
    return context
