"""`Directories`: takes away what provisioned volumes (`minik.io/node-directory`) leave on this node.

Follows the PersistentVolumes that carry this node's label. One that is going, that no claim and no pod here has any more: its directory is
removed (if its policy is Delete), then the finalizer with which it waits for that. Nothing is remembered but what waits for a pod to
end; a restarted agent sees the same volumes. On simulated nodes there is nothing to remove and only the finalizer goes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from minik.agent.volumes import mounting
from minik.agent.volumes.payload import VolumeError
from minik.aio import Tasks
from minik.api import meta
from minik.api.core_v1 import volumes
from minik.api.errors import Conflict, Forbidden, NotFound, StatusError
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.recorder import Recorder
from minik.clock import Clock

log = logging.getLogger("minik.agent.volumes")

VOLUMES = "persistentvolumes"
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0


def is_due(volume: ROObj) -> bool:
    """Whether the node has to let go of the volume: it is going, and no claim has it. Pure."""
    finalizers = meta.finalizers(volume)
    return (
        meta.is_deleting(volume)
        and volumes.NODE_DIRECTORY in finalizers
        and volumes.PV_PROTECTION not in finalizers
        and volumes.phase(volume) != "Bound"
        and meta.annotations(volume).get(volumes.PROVISIONED_BY) == volumes.NODE_DIRECTORY
    )


def path_to_remove(volume: ROObj) -> Path | None:
    """The directory that goes with the volume; None if what it holds is to be kept. VolumeError for a path that the provisioner
    cannot have made: it is not removed. Pure."""
    spec = volume["spec"]
    if spec.get("persistentVolumeReclaimPolicy") != "Delete":
        return None
    text = (spec.get("hostPath") or {}).get("path") or ""
    path, name = Path(text), meta.name(volume)
    is_safe = text.startswith("/") and len(path.parts) > 2 and ".." not in path.parts
    if not is_safe or not name or not path.name.startswith(name):
        raise VolumeError(f'the path "{text}" is not one that {volumes.NODE_DIRECTORY} makes: nothing is removed')
    return path


def remove_directory(path: Path) -> None:
    """Remove a directory with all that is in it, no symbolic link followed; blocks. One that is not there is fine. OSError, VolumeError."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.exists():
        return
    if path.is_mount() or mounting.mounts_below(path):
        raise VolumeError(f"{path}: something is mounted there")
    if not shutil.rmtree.avoids_symlink_attacks:
        raise VolumeError(f"{path}: this platform cannot remove directories safely")
    shutil.rmtree(path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    """What was removed stays so: its volume is about to be forgotten."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Directories:
    """See the module's words. `start`, then `look_again` whenever `in_use` may say something else."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        *,
        node: str,
        clock: Clock,
        recorder: Recorder | None,
        in_use: Callable[[ROObj], bool],
        is_real: bool,
    ) -> None:
        self._client, self._clock, self._recorder = client, clock, recorder
        self._informers, self._node = informers, node
        self._in_use, self._is_real = in_use, is_real
        self._tasks = Tasks(f"volumes of {node}")
        self._waiting: dict[str, ROObj] = {}
        """By name: due, and in use."""
        self._going: set[str] = set()
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to follow."""
        informer = self._informers.of(VOLUMES, label_selector=f"{volumes.NODE_LABEL}={self._node}")
        self._unsubscribe = informer.add_handler(
            added=self._look, updated=lambda _, new: self._look(new), deleted=self._gone
        )

    async def close(self) -> None:
        self._unsubscribe()
        await self._tasks.close()

    def look_again(self) -> None:
        """A pod has let go of its volumes, or has told which it has."""
        for volume in list(self._waiting.values()):
            self._look(volume)

    def _gone(self, volume: ROObj) -> None:
        self._waiting.pop(meta.name(volume), None)

    def _look(self, volume: ROObj) -> None:
        name = meta.name(volume)
        if not is_due(volume):
            self._waiting.pop(name, None)
        elif self._in_use(volume):
            self._waiting[name] = volume
        elif name not in self._going:
            self._waiting.pop(name, None)
            self._going.add(name)
            self._tasks.start(name, self._let_go(volume))

    async def _let_go(self, volume: ROObj) -> None:
        """Until it is done or no longer to be done; what fails is tried again, each time later."""
        name, pause = meta.name(volume), FIRST_RETRY
        try:
            while is_due(volume):
                try:
                    await self._remove(volume)
                    await self._clear(volume)
                    return
                except NotFound:
                    return
                except (VolumeError, OSError) as error:
                    self._complain(volume, error)
                except Conflict:
                    pause = 0.0
                except StatusError as error:
                    log.info("volume not let go", extra={"volume": name, "error": error.message})
                await self._clock.sleep(pause)
                pause = min(max(pause * 2, FIRST_RETRY), LONGEST_RETRY)
                volume = await self._fresh(volume)
        except NotFound:
            return
        finally:
            self._going.discard(name)

    async def _fresh(self, volume: ROObj) -> ROObj:
        """As it is now; as it was if nobody says. NotFound if it, or the one of that uid, is gone."""
        name = meta.name(volume)
        try:
            now = await self._client.get(VOLUMES, name)
        except (NotFound, Forbidden):  # of another node now, then
            raise NotFound(f'persistentvolumes "{name}" not found') from None
        except StatusError:
            return volume
        if meta.uid(now) != meta.uid(volume):
            raise NotFound(f'persistentvolumes "{name}" not found')
        return now

    async def _remove(self, volume: ROObj) -> None:
        path = path_to_remove(volume) if self._is_real else None
        if path is not None:
            await asyncio.to_thread(remove_directory, path)

    async def _clear(self, volume: ROObj) -> None:
        rest = [each for each in meta.finalizers(volume) if each != volumes.NODE_DIRECTORY]
        metadata = {"finalizers": rest, "resourceVersion": volume["metadata"]["resourceVersion"]}
        await self._client.patch(VOLUMES, meta.name(volume), "", {"metadata": metadata})

    def _complain(self, volume: ROObj, error: Exception) -> None:
        log.warning("directory not removed", extra={"volume": meta.name(volume), "error": str(error)})
        if self._recorder is not None:
            self._recorder.event(volume, "Warning", "VolumeFailedDelete", str(error))
