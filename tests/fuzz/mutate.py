"""Damaging bytes, always the same way for the same seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

_INTERESTING = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe", b"\x7f\xff\xff\xff", b"\x01\0\0\0", b"\0\x01")
"""Lengths that lie, and the undefined length (PS3.5 section 7.1.2)."""


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to four damages."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice(_DAMAGES)(content, chance) if content else chance.randbytes(8)
    return content


def noise(chance: random.Random) -> bytes:
    """Return random bytes, half of them behind the head of a PDU."""
    body = chance.randbytes(chance.choice((1, 7, 60, 500, 5_000)))
    if chance.random() < 0.5:
        return body
    length = chance.choice((len(body), chance.randrange(2**32), 0))
    return struct.pack(">BBL", chance.randrange(9), 0, length) + body


def _flip(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + bytes((content[place] ^ (1 << chance.randrange(8)),)) + content[place + 1 :]


def _overwrite(content: bytes, chance: random.Random) -> bytes:
    place, value = chance.randrange(len(content)), chance.choice((*_INTERESTING, chance.randbytes(3)))
    return content[:place] + value + content[place + len(value) :]


def _insert(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + chance.randbytes(chance.choice((1, 2, 16, 300))) + content[place:]


def _remove(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + content[place + chance.choice((1, 2, 8, 100)) :]


def _truncate(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + content[place : place + 200] * chance.choice((2, 3, 20)) + content[place + 200 :]


def _shuffle(content: bytes, chance: random.Random) -> bytes:
    a, b = sorted((chance.randrange(len(content)), chance.randrange(len(content))))
    return content[b:] + content[a:b] + content[:a]


_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _flip, _overwrite, _overwrite),
    *(_insert, _remove, _truncate, _repeat, _shuffle),
)
