"""Reading a body without ever holding more of it than allowed, compressed or decoded."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

_MAX_MEMBERS = 2_000  # of one gzip body; blocked gzip has one a 64 kB, and empty ones by the million cost CPU


class BodyError(Exception):
    """A body that can't be used: too large, cut off, or not in the encoding it claims. ``str`` says which."""


def read_body(
    chunks: Iterable[bytes], encoding: str, *, max_bytes: int, max_decoded: int, truncate: bool = False
) -> bytes:
    """The decoded body. ``encoding`` is the Content-Encoding header, '' for none.

    ``max_bytes`` bounds what is read off the wire, ``max_decoded`` what it decodes to; past either,
    ``BodyError`` is raised, or with ``truncate`` the first ``max_decoded`` bytes are returned.
    """
    codings = [c for c in (part.strip().lower() for part in encoding.split(",")) if c not in ("", "identity")]
    if len(codings) > 1 or (codings and codings[0] not in ("gzip", "x-gzip", "deflate")):
        raise BodyError(f"the answer is encoded as {encoding[:50]!r}, which was not asked for")
    if codings:
        parts = _inflated(_counted(chunks, max_bytes, truncate), codings[0], max_decoded, truncate)
    else:
        parts = _counted(chunks, min(max_bytes, max_decoded), truncate)
    body = b"".join(parts)
    return body[:max_decoded] if truncate else body


def _counted(chunks: Iterable[bytes], limit: int, truncate: bool) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit and not truncate:
            raise BodyError(f"the answer is larger than {limit:,} bytes")
        yield chunk
        if total >= limit and truncate:
            return


def _inflated(chunks: Iterable[bytes], coding: str, limit: int, truncate: bool) -> Iterator[bytes]:
    """Decode with zlib's own output limit: 0.29 MB of gzip can hold 300 MB, and must not be given the
    memory.
    """
    total = members = 0
    unzip = None
    for chunk in chunks:
        data = chunk
        while data:
            if unzip is None:
                if members and data[:1] != b"\x1f":
                    return  # padding after the last gzip member, as some servers send
                members += 1
                if members > _MAX_MEMBERS:
                    raise BodyError(f"the answer has more than {_MAX_MEMBERS:,} gzip members")
                unzip = zlib.decompressobj(_window(coding, data[0]))
            try:
                out = unzip.decompress(data, limit + 1 - total)
            except zlib.error as error:
                raise BodyError(f"the answer is not the {coding} that it claims to be: {error}") from None
            total += len(out)
            if total > limit and not truncate:
                raise BodyError(f"the answer is larger than {limit:,} bytes when unpacked")
            yield out
            if total > limit:
                return
            if unzip.eof:
                data, unzip = unzip.unused_data, None
                if coding == "deflate":
                    return
            else:
                data = unzip.unconsumed_tail
    if unzip is not None and not truncate:
        raise BodyError(f"the answer is cut off in the middle of its {coding} data")


def _window(coding: str, first: int) -> int:
    """zlib's window argument. "deflate" means zlib's format, but some servers send the bare stream (RFC 9110,
    8.4.1.2). The first byte tells them apart: its low half is 8 in zlib's format, never in what encoders
    write as a bare stream.
    """
    if coding != "deflate":
        return 16 + zlib.MAX_WBITS
    return zlib.MAX_WBITS if first & 0x0F == 8 else -zlib.MAX_WBITS
