"""Bounded child processes: they work on files that may be hostile, at idle priority, outside this
process.

pebble does the plumbing. A batch whose child dies or runs too long is tried again item by item, so
that a hostile file costs its own result and no neighbour's.
"""

import contextlib
import ctypes
import multiprocessing
import os
import platform
import resource
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from watcherd.errors import ChildError

if TYPE_CHECKING:
    from pebble import ProcessPool

T = TypeVar("T")
R = TypeVar("R")

BATCH = 50
"""Items a request: large enough to hide the pipe, small enough to keep a broken batch cheap."""

AHEAD = 2
"""Batches handed to each child at a time: it never waits for the next one, and few queue up."""

ENDING = 2.0
"""Seconds that the end of a pool is waited for."""

LOOK = 1.0
"""Seconds between two looks whether anybody is there to answer."""

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_IDLE = 3 << 13
_IOPRIO_LAST = 2 << 13 | 7
"""ioprio_set(2): class in the upper bits; idle has no levels, best effort has eight. Everywhere
ioprio_get(2) is the next number."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An item that its child could not finish."""

    reason: str
    by_itself: bool
    """True if the item was alone in its child and may be the cause. Else the trouble was the
    child's or the machine's, and says nothing about the item."""


@dataclass(frozen=True, slots=True)
class _Handed(Generic[R]):
    """A batch's results to come, and the pool that they are to come from."""

    pool: "ProcessPool"
    future: Future[list[R]]


class Child(Generic[T, R]):
    """A small pool of spawned processes that run ``work`` on batches of items.

    ``work`` is a module-level function from a list of items to as many results, ``prepare`` one
    that a child runs first. ``seconds`` bounds each item, ``memory`` (bytes) the child's address
    space. Nothing is started before it is needed, or ``warm`` is called.
    """

    def __init__(
        self,
        work: Callable[[list[T]], list[R]],
        *,
        seconds: float = 20.0,
        memory: int = 4 << 30,
        workers: int = 1,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._prepare = prepare
        self._seconds = seconds
        self._memory = memory
        self._workers = workers
        self._pool: ProcessPool | None = None

    def map(self, items: Sequence[T]) -> Iterator[R | Broken]:
        """Results in the order of the items; Broken for those that no child survived.

        Raises ChildError where none can be started.
        """
        batches = (list(items[at : at + BATCH]) for at in range(0, len(items), BATCH))
        waiting: deque[tuple[list[T], _Handed[R]]] = deque()
        ahead = AHEAD * self._workers
        while True:
            for batch in islice(batches, ahead - len(waiting)):
                waiting.append((batch, self._schedule(batch)))
            if not waiting:
                return
            batch, handed = waiting.popleft()
            results = self._result_of(batch, handed)
            if isinstance(results, Broken):
                yield from ([results] if len(batch) == 1 else self._one_by_one(batch))
            else:
                yield from results

    def warm(self) -> None:
        """Start a child now, without waiting for it: the first item then need not. Where none can
        be started, ``map`` tells."""
        with contextlib.suppress(ChildError):
            self._schedule([])

    def close(self) -> None:
        """End the children, at once; ``map`` starts new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]  # pebble leaves it unannotated
            # The children are ended at once. A thread of pebble's that is writing to one may then
            # write for ever (its pipe is full, and open on our side, too): it is left behind.
            ending = threading.Thread(target=pool.join, daemon=True)
            ending.start()
            ending.join(ENDING)

    def _one_by_one(self, batch: list[T]) -> Iterator[R | Broken]:
        for item in batch:
            results = self._result_of([item], self._schedule([item]))
            yield from [results] if isinstance(results, Broken) else results

    def _schedule(self, batch: list[T]) -> _Handed[R]:
        try:
            if self._pool is None or not self._pool.active:
                self.close()
                self._pool = self._start()
            future: Future[list[R]] = self._pool.schedule(
                self._work, args=[batch], timeout=self._seconds + len(batch) - 1
            )
        except OSError as error:
            raise _none_starts(error.strerror or str(error)) from error
        return _Handed(self._pool, future)

    def _result_of(self, batch: list[T], handed: _Handed[R]) -> list[R] | Broken:
        """A child that dies before it begins, or while it has nothing to do, takes its pool along,
        whatever the pool was to do. That proves nothing yet: another one is tried."""
        try:
            return self._await(handed)
        except BrokenProcessPool:
            again = self._schedule(batch)
        try:
            return self._await(again)
        except BrokenProcessPool as error:
            raise _none_starts("it dies at once") from error

    def _await(self, handed: _Handed[R]) -> list[R] | Broken:
        """Of a pool that has broken, pebble does not abort what is handed to it at that moment."""
        while not wait([handed.future], LOOK).done:
            if not handed.pool.active:
                raise BrokenProcessPool("nobody is left to answer")
        return _result_of(handed.future, self._seconds)

    def _start(self) -> "ProcessPool":
        from pebble import ProcessPool

        _leave_closed_folder()
        return ProcessPool(
            max_workers=self._workers,
            initializer=_begin,
            initargs=[self._memory, self._prepare],
            context=multiprocessing.get_context("spawn"),
        )


def _leave_closed_folder() -> None:
    """multiprocessing sends a child to this process's folder, by its name. It would die of one that
    is gone, or closed to its user, as root's home is to ``sudo -u``."""
    try:
        os.chdir(os.getcwd())
    except OSError:
        os.chdir("/")


def _result_of(future: Future[list[R]], seconds: float) -> list[R] | Broken:
    """The batch's results; whatever a hostile file made of its child is a value here.

    Raises BrokenProcessPool where no child took the batch.
    """
    from pebble import ProcessExpired

    try:
        return future.result()
    except FutureTimeout:
        return Broken(f"it took more than {seconds:g} s", True)
    except ProcessExpired as error:
        return Broken(f"the child process died of it (exit status {error.exitcode})", True)
    except SystemExit:
        return Broken("it ended the child process", True)
    except MemoryError:
        return Broken("it took more memory than a child is given", True)
    except BrokenProcessPool as error:
        if error.__cause__ is None:
            raise
        return Broken(f"what the child answered cannot be read: {error.__cause__}", False)
    except Exception as error:  # noqa: BLE001  `work` answers for content; this is the machine's
        return Broken(f"the child raised {type(error).__name__}: {error}".rstrip(": "), False)


def _none_starts(why: str) -> ChildError:
    return ChildError(
        f"no process that reads models can be started with {sys.executable}: {why}",
        hint="check that this user may run that file and read its packages, and that the machine "
        "has processes and memory left",
    )


def _begin(memory: int, prepare: Callable[[], None] | None) -> None:
    step_back(memory)
    if prepare is not None:
        prepare()


def step_back(memory: int) -> None:
    """Make this process give way to every other: nice 19, idle I/O, no GPU, bounded memory.

    Ctrl-C on a terminal reaches the whole process group: ending is the parent's business.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    make_idle(0)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def make_idle(pid: int) -> None:
    """Nice 19 and idle I/O for a process of ours (0: this one), and all that it starts then."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, 19)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, pid, _IOPRIO_CLASS_IDLE)


def io_priority() -> int:
    """Of this thread, as ioprio_get(2) says; -1 where it says nothing."""
    number = _IOPRIO_SET.get(platform.machine(), -2)
    return int(ctypes.CDLL(None).syscall(number + 1, _IOPRIO_WHO_PROCESS, 0))


@contextlib.contextmanager
def last_at_the_disk() -> Iterator[None]:
    """Let this thread wait for the disk longer than others, but not without end.

    For what a person waits for: at idle priority it might not end beside a trainer. Nice is left as
    it is, because who is not root could not take it back.
    """
    before = io_priority()
    if before < 0 or before >= _IOPRIO_LAST:
        yield
        return
    _set_io_priority(_IOPRIO_LAST)
    try:
        yield
    finally:
        _set_io_priority(before)


def _set_io_priority(priority: int) -> None:
    number = _IOPRIO_SET[platform.machine()]
    ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, priority)
