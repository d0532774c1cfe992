"""Joining a cluster: from a short-lived token to this node's own client certificate.

As kubeadm's token discovery does, but in two steps over TLS: fetch the CA without trusting anybody, check it against the hash in
the token, then ask for a certificate over a connection that trusts this CA alone.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from minik import pki
from minik.config import JoinToken
from minik.files import write_private

CA_PATH = "/minik/v1/ca"
JOIN_PATH = "/minik/v1/join"


class JoinError(Exception):
    """Joining did not work; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node needs to be a client of its server."""

    server: str
    """https://HOST:PORT"""
    node: str
    ca: bytes
    certificate: bytes
    key: bytes


def load_identity(directory: Path) -> Identity | None:
    """The identity kept by an earlier join, or None."""
    try:
        return Identity(
            server=(directory / "server").read_text().strip(),
            node=(directory / "node").read_text().strip(),
            ca=(directory / "ca.crt").read_bytes(),
            certificate=(directory / "node.crt").read_bytes(),
            key=(directory / "node.key").read_bytes(),
        )
    except FileNotFoundError:
        return None


def save_identity(directory: Path, identity: Identity) -> None:
    """Keep an identity; the last file written is the one whose absence means that there is none."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in (
        ("node", identity.node.encode() + b"\n"),
        ("ca.crt", identity.ca),
        ("node.key", identity.key),
        ("node.crt", identity.certificate),
        ("server", identity.server.encode() + b"\n"),
    ):
        write_private(directory / name, content)


async def join(server: str, token: JoinToken, *, node: str) -> Identity:
    """Get a certificate for `node` from `server` (https://HOST:PORT). Raises JoinError."""
    if not token.ca_hash:
        raise JoinError("the token does not pin the cluster's CA; use the whole text that `minik token create` printed")
    try:
        ca = await _fetch_ca(server)
        if pki.ca_hash(ca) != token.ca_hash:
            raise JoinError(f"{server} shows another CA than the token names; this is not the cluster the token is for")
        return await _request_certificate(server, token, ca, node=node)
    except aiohttp.ClientError as error:
        raise JoinError(f"cannot reach {server}: {error}") from error
    except (TimeoutError, OSError) as error:
        raise JoinError(f"cannot reach {server}: {error or 'no answer'}") from error
    except ValueError as error:
        raise JoinError(f"{server} does not answer like a minik server: {error}") from error


async def _fetch_ca(server: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=15)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(server + CA_PATH, ssl=False) as answer,  # what comes back is checked against the token's hash
    ):
        answer.raise_for_status()
        return await answer.read()


async def _request_certificate(server: str, token: JoinToken, ca: bytes, *, node: str) -> Identity:
    request, key = pki.new_request(user=f"system:node:{node}", groups=["system:nodes"])
    trust = ssl.create_default_context(cadata=ca.decode())
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(
            server + JOIN_PATH,
            ssl=trust,
            headers={"Authorization": f"Bearer {token.bearer}"},
            json={"node": node, "request": request.decode()},
        ) as answer,
    ):
        body = await answer.json()
        if answer.status == 401:
            raise JoinError("the token is not valid any more; make a new one with `minik token create`")
        if answer.status >= 400:
            raise JoinError(f"the server refused: {body.get('message', answer.status)}")
        return Identity(server=server, node=node, ca=ca, certificate=body["certificate"].encode(), key=key)
