"""Files made alike: what one of them told need not be parsed out of the next.

Trainings of one architecture write files that differ in their data alone. Where every byte that a
parser read of an earlier file stands in this one, too, the parser would tell the same of it: that
is proof, not likelihood, as it is a function of those bytes. It saves four fifths of the time.
"""

import hashlib
import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from watcherd.readers.source import PAGE, Source

T = TypeVar("T")

SIZES = 256
"""Sizes of files of which something is remembered; the one not met for longest is forgotten."""
LIKE = 4
"""Files of one size that are remembered, the newest first: one architecture saved in two ways."""
MOST = 1 << 20
"""Structural bytes up to which a file is remembered; Keras models of 500 layers stay below it."""
ALL = 32 << 20
"""Structural bytes of all files that are remembered. What is kept of them is about as large: 0.2 MB
of a model of 150 layers, measured."""


class Span(NamedTuple):
    """Bytes from ``start``, until before ``end``."""

    start: int
    end: int


class Recorded(io.BufferedReader):
    """A source's stream that notes what is read from it."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.view(), PAGE)
        self._spans: set[Span] = set()

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        piece = super().read(size)
        self._spans.add(Span(start, start + len(piece)))
        return piece

    @property
    def spans(self) -> tuple[Span, ...]:
        """What was read, in order; what touches is one."""
        joined: list[Span] = []
        for span in sorted(self._spans):
            if joined and span.start <= joined[-1].end:
                joined[-1] = Span(joined[-1].start, max(span.end, joined[-1].end))
            else:
                joined.append(span)
        return tuple(joined)


class _Twin(NamedTuple):
    spans: tuple[Span, ...]
    digest: bytes

    @property
    def size(self) -> int:
        return _length(self.spans)


@dataclass(slots=True)
class Twins(Generic[T]):
    """What the structures of files told, by their bytes."""

    _known: OrderedDict[int, list[tuple[_Twin, T]]] = field(default_factory=OrderedDict)
    """Size of the file -> the newest that were parsed."""

    def find(self, source: Source) -> T | None:
        """What an earlier file told that has all the bytes in which this one's structure lies."""
        for twin, told in self._known.get(source.size, ()):
            if _digest(source, twin.spans) == twin.digest:
                self._known.move_to_end(source.size)
                return told
        return None

    def keep(self, source: Source, stream: Recorded, told: T) -> None:
        """Remember what a parser told, which read nothing but this stream.

        Raises Changed where the file may not hold any more what the parser read.
        """
        spans = stream.spans
        if _length(spans) > MOST:
            return
        twin = _Twin(spans, _digest(source, spans))
        source.check()
        self._known[source.size] = [(twin, told), *self._known.get(source.size, ())][:LIKE]
        self._known.move_to_end(source.size)
        while len(self._known) > SIZES or self._size > ALL:
            self._known.popitem(last=False)

    @property
    def _size(self) -> int:
        return sum(twin.size for alike in self._known.values() for twin, _ in alike)


def _length(spans: Sequence[Span]) -> int:
    return sum(span.end - span.start for span in spans)


def _digest(source: Source, spans: Sequence[Span]) -> bytes:
    pieces = (source.read(start, end - start) for start, end in spans)
    return hashlib.blake2b(b"".join(pieces), digest_size=16).digest()
