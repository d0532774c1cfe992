"""Mailboxes: bounded, one wake-up a turn, errors after what is there."""

from __future__ import annotations

import asyncio

import pytest

from minik.storage.base import ClosedError, Event, EventType, Revision, SlowReaderError
from minik.storage.hub import Hub, Mailbox


async def test_a_reader_is_woken_once_for_everything_of_a_turn() -> None:
    mailbox: Mailbox[int] = Mailbox()
    waiting = asyncio.ensure_future(mailbox.wait())
    await asyncio.sleep(0)
    for n in range(5):
        mailbox.put(n)
    assert await waiting
    assert mailbox.pop_many() == [0, 1, 2, 3, 4]
    assert mailbox.pop_many() == []
    assert not await mailbox.wait(0.001)


async def test_a_reader_that_falls_behind_loses_everything_and_nobody_waits() -> None:
    mailbox: Mailbox[int] = Mailbox(limit=3)
    mailbox.prefill([1, 2])
    for n in range(6):
        mailbox.put(n)
    assert await mailbox.wait()
    assert len(mailbox) == 0
    for _ in range(2):
        with pytest.raises(SlowReaderError):
            mailbox.pop_many()
        with pytest.raises(SlowReaderError):
            await mailbox.pop()


async def test_the_end_comes_after_the_rest() -> None:
    hub = Hub()
    mailbox = hub.subscribe("a/")
    event = Event(EventType.PUT, "a/1", b"", None, Revision(1), Revision(1))
    hub.publish([event, Event(EventType.PUT, "b/1", b"", None, Revision(2), Revision(2))])
    hub.close()
    assert await mailbox.pop() is event
    with pytest.raises(ClosedError):
        await mailbox.pop()
    with pytest.raises(ClosedError):
        hub.subscribe("a/")


async def test_a_cancelled_wait_leaves_the_mailbox_usable() -> None:
    mailbox: Mailbox[int] = Mailbox()
    waiting = asyncio.ensure_future(mailbox.pop())
    await asyncio.sleep(0)
    waiting.cancel()
    mailbox.put(1)
    assert await mailbox.pop() == 1
