"""SPDY/3.1 framing against an independent little client, with the compression dictionary checked by zlib itself."""

from __future__ import annotations

import asyncio
import struct
import zlib

from minik.aio import running
from minik.server.streams.spdy import DICTIONARY, SpdyConnection, decode_headers, encode_headers


class Pipe:
    """A ByteStream whose other end is in the test."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.written = bytearray()

    async def read_exactly(self, count: int) -> bytes:
        try:
            return await self.reader.readexactly(count)
        except asyncio.IncompleteReadError as error:
            raise EOFError from error

    async def write(self, data: bytes) -> None:
        self.written += data

    async def close(self) -> None:
        self.reader.feed_eof()


def control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(payload)) + payload


def test_the_dictionary_is_the_one_of_the_specification() -> None:
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_headers_round_trip() -> None:
    assert decode_headers(encode_headers({"streamType": "data", "port": "80"})) == {"streamtype": "data", "port": "80"}


async def test_a_stream_is_opened_carries_data_and_ends() -> None:
    pipe = Pipe()
    connection = SpdyConnection(pipe)
    deflate = zlib.compressobj(zdict=DICTIONARY)

    def block(headers: dict[str, str]) -> bytes:
        return deflate.compress(encode_headers(headers)) + deflate.flush(zlib.Z_SYNC_FLUSH)

    async with running("test") as tasks:
        reader = tasks.start("run", connection.run())
        for number, kind in ((1, "stdin"), (3, "stdout")):  # two blocks: the compression state goes on
            pipe.reader.feed_data(control(1, struct.pack(">IIH", number, 0, 0) + block({"streamType": kind})))
        stdin, stdout = await connection.accept(), await connection.accept()
        assert stdin is not None and stdout is not None
        assert (stdin.headers, stdout.headers) == ({"streamtype": "stdin"}, {"streamtype": "stdout"})
        pipe.reader.feed_data(struct.pack(">II", 1, 5) + b"hello" + struct.pack(">II", 1, 1 << 24))
        assert await stdin.read() == b"hello"
        assert await stdin.read() == b""
        before = len(pipe.written)
        await stdout.write(b"world")
        await stdout.end()
        assert bytes(pipe.written[before:]) == struct.pack(">II", 3, 5) + b"world" + struct.pack(">II", 3, 1 << 24)
        pipe.reader.feed_data(control(6, struct.pack(">I", 7)))
        pipe.reader.feed_eof()
        await reader
        assert bytes(pipe.written).endswith(control(6, struct.pack(">I", 7)))
        assert await connection.accept() is None
