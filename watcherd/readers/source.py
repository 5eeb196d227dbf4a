"""One file of the models root, opened so that no training job can notice.

Never a lock, not even as a probe: a trainer's own lock does not wait, and fails on ours when it has
already emptied its file. Reading goes through pread(2); a mapping would kill us (SIGBUS) when a
trainer truncates the file under it.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from watcherd.artifact import FileFact, Part, fact_from

PIECE_LIMIT = 64 << 20
"""Bytes a parser may ask for at once; the metadata of real Keras files stays below 1 MB."""
PAGE = 4096
"""Bytes read ahead: metadata lies scattered between the weights."""
WHOLE = 256 << 10
"""Bytes up to which a file is read at once: it costs less than a dozen small reads."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""open(2): a symlink is refused, a FIFO or a device cannot hold us up."""
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ESTALE})
"""open(2): no such file, its folder is none, it is a symlink, a socket, or gone on the server."""


GIT_LFS = b"version https://git-lfs"
"""How a pointer begins that git leaves in the place of a large file."""
POINTER = "a git-lfs pointer, not the file itself; run: git lfs pull"


class Changed(Exception):
    """The file is no longer the one that was scanned: look again."""


class Unreadable(Exception):
    """The content is not what it claims to be; the message tells a person why."""


class Incomplete(Exception):
    """A save that never finished; the message tells a person what is missing."""


class Source:
    """An open file, and the facts it had when it was scanned."""

    def __init__(self, descriptor: int, fact: FileFact) -> None:
        self._descriptor = descriptor
        self._fact = fact
        self._whole: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return self._fact.size

    def check(self) -> None:
        """Raise Changed unless fstat(2) still tells what the scan saw."""
        now = os.fstat(self._descriptor)
        if fact_from(now) != self._fact:
            raise Changed
        if not stat.S_ISREG(now.st_mode):
            raise Unreadable("it is not a regular file; no model can be read from it")

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``offset``; fewer only at the end of the file."""
        if not 0 < self.size <= WHOLE:  # files in /proc say 0
            return self._pread(offset, count)
        if self._whole is None:
            self._whole = self._pread(0, self.size)
        return self._whole[offset : offset + count]

    def _pread(self, offset: int, count: int) -> bytes:
        pieces: list[bytes] = []
        while count > 0 and (piece := os.pread(self._descriptor, count, offset)):
            pieces.append(piece)
            offset, count = offset + len(piece), count - len(piece)
        return b"".join(pieces)

    def stream(self) -> io.BufferedReader:
        """A seekable view for a parser that wants a file object; closing it closes nothing.

        It has no descriptor and no name, so that the parser cannot open a path by itself.
        """
        return io.BufferedReader(self.view(), PAGE)

    def view(self) -> "View":
        """The same without a buffer."""
        return View(self)


class View(io.RawIOBase):
    """A source's bytes, for a parser that damaged pointers may lead in circles.

    Reading the whole file once, and a piece more, is enough for any sound one.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0
        self._left = source.size + PIECE_LIMIT

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = (0, self._position, self._source.size)[whence] + offset
        if self._position < 0:
            raise Unreadable("damaged: a pointer in it leads to before its beginning")
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # by BufferedReader only
        piece = b""
        if len(buffer) <= PIECE_LIMIT:
            piece = self._source.read(self._position, len(buffer))
            self._left -= len(piece)
        if len(buffer) > PIECE_LIMIT or self._left < 0:
            raise Unreadable("damaged: its structure leads in circles, or to no end")
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


@contextmanager
def opened(root: str, part: Part) -> Iterator[Source]:
    """The part's file, open for reading, if it is still what was scanned.

    Raises Changed otherwise, also where it is gone or has become a symlink; Unreadable for what is
    no regular file; OSError as of open(2) and pread(2) for what cannot be looked at.
    """
    try:
        descriptor = os.open(os.path.join(root, part.path), _FLAGS)
    except OSError as error:
        if error.errno in _GONE:
            raise Changed from error
        raise
    try:
        source = Source(descriptor, part.fact)
        source.check()
        yield source
    finally:
        os.close(descriptor)
