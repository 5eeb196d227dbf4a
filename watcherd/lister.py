"""Lists folder after folder; of a large tree half of them in a lean process beside this one.

Listing is what a look at an unchanged root costs: an lstat(2) a file, and tuples. A second process
takes half of it; a second thread would only wait for the interpreter's lock.
"""

import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from watcherd import listing
from watcherd.listing import PROTOCOL, Found, Wanted, look_at, receive, send

BATCH = 50
"""Folders a request: enough to hide the pipe, few enough that neither side waits at the end."""

MANY = 4 * BATCH
"""Waiting folders from which on a second process is worth its start, about 20 ms."""


class Lister:
    """Iterates over the folders that were ``put``, each with its listing or its OSError.

    ``known`` are the fingerprints of listings whose rows nobody needs again. More may be put while
    it is iterated over. Where the second process cannot be had or dies, this one does its part.
    """

    def __init__(self, root_fd: int, known: Mapping[str, bytes | None]) -> None:
        self._root_fd = root_fd
        self._known = known
        self._waiting: deque[str] = deque()
        self._asked: list[Wanted] = []
        self._asked_at = 0
        self._answers: deque[tuple[str, Found | OSError]] = deque()
        self._answers_asked_at = 0
        self._beside: subprocess.Popen[bytes] | None = None
        self._is_alone = not sys.executable

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def since(self) -> int:
        """When the oldest listing was asked for that is yet to come, in ns since the epoch."""
        if self._answers:
            return self._answers_asked_at
        return self._asked_at if self._asked else time.time_ns()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be listed."""
        return not (self._waiting or self._asked or self._answers)

    def put(self, folders: Iterable[str]) -> None:
        """Have these folders listed, too."""
        self._waiting.extend(folders)

    def __iter__(self) -> Iterator[tuple[str, Found | OSError]]:
        while not self.is_done:
            # First: while this process looks at the answers, the other one is at work again.
            if not self._asked and not self._is_alone and len(self._waiting) >= MANY:
                self._ask()
            if self._answers:
                yield self._answers.popleft()
                continue
            if self._waiting:
                yield self._look_at(self._wanted())
            if self._asked and (not self._waiting or self._is_answered()):
                self._take_answers()

    def _wanted(self) -> Wanted:
        # The last first: a tree is walked to its depth, and few folders wait.
        path = self._waiting.pop()
        return path, self._known.get(path)

    def _look_at(self, wanted: Wanted) -> tuple[str, Found | OSError]:
        try:
            return wanted[0], look_at(self._root_fd, wanted)
        except OSError as error:
            return wanted[0], error

    def _ask(self) -> None:
        self._asked_at = time.time_ns()
        # The first: they are not what this process is about to look at.
        paths = [self._waiting.popleft() for _ in range(BATCH)]
        self._asked = [(path, self._known.get(path)) for path in paths]
        try:
            self._beside = self._beside or self._start()
            assert self._beside.stdin is not None  # a pipe, see _start
            send(self._beside.stdin.fileno(), self._asked)
        except OSError:
            self._is_alone = True

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            # Isolated and without site: it starts in 20 ms and takes 10 MB.
            [sys.executable, "-I", "-S", listing.__file__, str(self._root_fd), PROTOCOL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._root_fd],
            # Ctrl-C is for us; it ends when its input does.
            start_new_session=True,
        )

    def _is_answered(self) -> bool:
        return self._is_alone or bool(select.select([self._output], [], [], 0)[0])

    def _take_answers(self) -> None:
        asked, self._asked = self._asked, []
        answers = [] if self._is_alone else receive(self._output)
        self._is_alone = len(answers) != len(asked)
        if self._is_alone:
            self._waiting.extend(path for path, _ in asked)
            return
        self._answers_asked_at = self._asked_at
        self._answers.extend(
            (path, _error(found) if isinstance(found, int) else found) for path, found in answers
        )

    @property
    def _output(self) -> int:
        assert self._beside is not None  # asked for, see _ask
        assert self._beside.stdout is not None  # a pipe, see _start
        return self._beside.stdout.fileno()

    def _end(self) -> None:
        if self._beside is None:
            return
        # Killed, not waited for: it may have stopped at a disk that does not answer.
        self._beside.kill()
        for pipe in (self._beside.stdin, self._beside.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._beside.wait()
        self._beside = None


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
