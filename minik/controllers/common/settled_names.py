"""Names of pods that follow from what is known, so that the same decision taken twice asks for the same name.

A controller that died while a creation was on its way, and its successor that does not see the pod yet, decide the same; with names of
this kind the second creation is refused. kube-controller-manager takes random names, and deletes doubles when it sees them.
"""

from __future__ import annotations

import hashlib

from minik.api import meta
from minik.api.errors import AlreadyExists, NotFound
from minik.api.meta import Obj, ROObj
from minik.client.controller import Context
from minik.controllers.common.replicas import create_pod

_LENGTH = 5
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def settled_suffix(*facts: str) -> str:
    """Five characters as `generateName` would append; the same for the same facts."""
    number = int.from_bytes(hashlib.blake2b("/".join(facts).encode(), digest_size=8).digest(), "big")
    text = ""
    for _ in range(_LENGTH):
        number, rest = divmod(number, len(_ALPHABET))
        text += _ALPHABET[rest]
    return text


async def create_settled(ctx: Context, owner: ROObj, pod: Obj) -> bool:
    """Create a pod that has both a settled name and a `generateName`; False if the namespace is being deleted.

    Raises StatusError: AlreadyExists if the owner has that very pod, which the cache will show. If the name is somebody else's (a pod that
    was released, say), another one is made up."""
    try:
        return await create_pod(ctx, owner, pod)
    except AlreadyExists:
        if await _is_own(ctx, owner, meta.name(pod)):
            raise
        metadata = {k: v for k, v in pod["metadata"].items() if k != "name"}
        return await create_pod(ctx, owner, {**pod, "metadata": metadata})


async def _is_own(ctx: Context, owner: ROObj, name: str) -> bool:
    try:
        return meta.is_controlled_by(await ctx.client.get("pods", name, meta.namespace(owner)), owner)
    except NotFound:
        return True  # gone again: try anew
