"""`minik token`: the short-lived tokens that nodes join with. Each is a Secret in kube-system, as kubeadm's are."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from minik.api import times
from minik.api.errors import NotFound, StatusError
from minik.api.meta import Obj, ROObj
from minik.cli.connect import Admin, connect
from minik.cli.durations import parse_ttl
from minik.clock import Entropy, SystemClock
from minik.config import JoinToken

TYPE = "bootstrap.kubernetes.io/token"
PREFIX = "bootstrap-token-"
NAMESPACE = "kube-system"

T = TypeVar("T")

_data_dir = click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None, help="The server's data directory."
)


@click.group("token")
def command() -> None:
    """Make, list and delete tokens that nodes join with."""


@command.command("create")
@_data_dir
@click.option("--ttl", default="24h", show_default=True, help="How long it is valid: 30m, 24h, 7d; 0 for ever.")
@click.option("--description", default="", help="What it is for.")
def create(data_dir: Path | None, ttl: str, description: str) -> None:
    """Make a token and print it. Joining: minik agent --join https://HOST:PORT --token TOKEN"""
    lifetime = parse_ttl(ttl)
    entropy = Entropy()
    token_id, secret = entropy.token(6), entropy.token(16)

    async def make(admin: Admin) -> str:
        expires = times.format_time(SystemClock().now() + lifetime) if lifetime else None
        await admin.client.create("secrets", _secret(token_id, secret, expires, description))
        return str(JoinToken(id=token_id, secret=secret, ca_hash=admin.ca_hash))

    click.echo(_with_admin(data_dir, make))


@command.command("list")
@_data_dir
def list_(data_dir: Path | None) -> None:
    """List the tokens, without their secret parts."""

    async def find(admin: Admin) -> list[ROObj]:
        found = await admin.client.list("secrets", NAMESPACE, field_selector=f"type={TYPE}")
        return list(found.items)

    now = SystemClock().now()
    found = _with_admin(data_dir, find)
    click.echo(f"{'ID':8}{'EXPIRES':24}{'STATE':9}DESCRIPTION")
    for secret in found:
        expires = _field(secret, "expiration")
        state = "expired" if expires and times.parse_time(expires) <= now else "valid"
        click.echo(f"{_field(secret, 'token-id'):8}{expires or 'never':24}{state:9}{_field(secret, 'description')}")


@command.command("delete")
@_data_dir
@click.argument("token")
def delete(data_dir: Path | None, token: str) -> None:
    """Delete a token, named by its id (the six characters before the dot) or in full."""
    token_id = token.split(".")[0]

    async def remove(admin: Admin) -> None:
        try:
            await admin.client.delete("secrets", PREFIX + token_id, NAMESPACE)
        except NotFound:
            raise click.ClickException(f"there is no token {token_id}") from None

    _with_admin(data_dir, remove)
    click.echo(f"token {token_id} deleted")


def _secret(token_id: str, secret: str, expires: str | None, description: str) -> Obj:
    data = {
        "token-id": token_id,
        "token-secret": secret,
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
    }
    if expires:
        data["expiration"] = expires
    if description:
        data["description"] = description
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": PREFIX + token_id, "namespace": NAMESPACE},
        "type": TYPE,
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
    }


def _field(secret: ROObj, name: str) -> str:
    return base64.b64decode((secret.get("data") or {}).get(name) or "").decode(errors="replace")


def _with_admin(data_dir: Path | None, work: Callable[[Admin], Awaitable[T]]) -> T:
    async def main() -> T:
        async with connect(data_dir) as admin:
            return await work(admin)

    try:
        return asyncio.run(main())
    except StatusError as error:
        raise click.ClickException(error.message) from None
