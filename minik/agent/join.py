"""Joining a cluster: from a short-lived token to this node's own client certificate.

As kubeadm's token discovery does, but in two steps over TLS: fetch the CA without trusting anybody, check it against the hash in
the token, then ask for a certificate over a connection that trusts this CA alone.

An agent joins once and runs for months, so it does so in a short-lived process of its own (`join_apart`; this module as a program):
the library that makes keys would keep 10 MB of the agent's memory for good.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from minik.config import JoinToken, parse_token
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
    from minik import pki  # not before it is needed: see above

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


async def join_apart(server: str, token: JoinToken, *, node: str) -> Identity:
    """`join`, in a process of its own. The token goes through its standard input, where nobody sees it. Raises JoinError."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        asked = json.dumps({"server": server, "token": str(token), "node": node})
        output, _ = await child.communicate(asked.encode())
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    try:
        answer = json.loads(output)
    except ValueError:
        raise JoinError(f"joining ended with status {child.returncode} and without an answer") from None
    if "error" in answer:
        raise JoinError(answer["error"])
    ca, certificate, key = (answer[name].encode() for name in ("ca", "certificate", "key"))
    return Identity(server=server, node=node, ca=ca, certificate=certificate, key=key)


def _main() -> None:
    asked = json.load(sys.stdin)
    try:
        identity = asyncio.run(join(asked["server"], parse_token(asked["token"]), node=asked["node"]))
    except JoinError as error:
        answer = {"error": str(error)}
    else:
        answer = {name: getattr(identity, name).decode() for name in ("ca", "certificate", "key")}
    json.dump(answer, sys.stdout)


async def _fetch_ca(server: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=15)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(server + CA_PATH, ssl=False) as answer,  # what comes back is checked against the token's hash
    ):
        answer.raise_for_status()
        return await answer.read()


async def _request_certificate(server: str, token: JoinToken, ca: bytes, *, node: str) -> Identity:
    from minik import pki

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


if __name__ == "__main__":
    _main()
