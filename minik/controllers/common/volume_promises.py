"""Which free volume each waiting claim is being given, so that no two go for the same one, and a new volume calls one claim, not all.

What two claims would otherwise find out from a refused write (and all the others from a look at every volume) is known here beforehand.
It is only a hint: nothing is wrong when it is lost, because every write of the binder carries the revision that it goes by. A promise
lasts until its claim is reconciled again, which it always is: because it was woken, or because it wrote, failed, or was deleted.
"""

from __future__ import annotations

from collections.abc import Callable

from minik.api.meta import Key


class Promises:
    """See the module. `wake` puts a key into the controller's queue."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self.wake = wake
        self._holders: dict[str, Key] = {}
        self._volumes: dict[Key, str] = {}

    def give(self, volume: str, claim: Key) -> None:
        """Neither may be promised already."""
        assert volume not in self._holders and claim not in self._volumes
        self._holders[volume] = claim
        self._volumes[claim] = volume

    def take_back(self, claim: Key) -> str:
        """The volume that was the claim's until now; "" if there was none."""
        volume = self._volumes.pop(claim, "")
        if volume:
            del self._holders[volume]
        return volume

    def is_promised(self, volume: str) -> bool:
        return volume in self._holders

    def has_one(self, claim: Key) -> bool:
        return claim in self._volumes
