"""A child that is interrupted and ended at any moment."""

import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType

import pytest

from tests.conftest import Saved
from watcherd.child import BATCH, Child
from watcherd.errors import ChildError


class Told(BaseException):
    """As the daemon's: a signal's handler raises it, wherever the main thread is."""


def double(items: list[int]) -> list[int]:
    return [2 * item for item in items]


def dawdle(items: list[str]) -> list[int]:
    time.sleep(100)
    return [len(item) for item in items]


@pytest.fixture
def told_soon() -> Iterator[None]:
    def tell(_number: int, _frame: FrameType | None) -> None:
        raise Told

    before = signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("told_soon")
def test_it_ends_at_once_while_more_waits_for_it_than_a_pipe_holds() -> None:
    child = Child[str, int](dawdle, seconds=100)
    with pytest.raises(Told):
        list(child.map(["x" * 10_000] * 400))
    started = time.monotonic()
    child.close()
    assert time.monotonic() - started < 4


def test_many_items_come_back_in_their_order() -> None:
    child = Child[int, int](double, workers=2)
    try:
        assert list(child.map(range(1234))) == [2 * number for number in range(1234)]
        child.close()
        assert list(child.map([7])) == [14]
    finally:
        child.close()


@pytest.fixture
def interpreter() -> Iterator[None]:
    """What children are started with is no Python."""
    before = multiprocessing.spawn.get_executable()
    multiprocessing.set_executable("/bin/false")
    yield
    multiprocessing.set_executable(before)


@pytest.mark.usefixtures("interpreter")
@pytest.mark.parametrize("is_warm", [False, True])
def test_where_none_can_be_started_that_is_the_error_and_no_item_is_blamed(is_warm: bool) -> None:
    child = Child[int, int](double)
    if is_warm:
        child.warm()
    try:
        with pytest.raises(ChildError, match="no process that reads models can be started"):
            list(child.map(range(200)))
    finally:
        child.close()


def test_one_that_dies_while_it_has_nothing_to_do_is_replaced() -> None:
    child = Child[int, int](double)
    try:
        list(child.map([1]))
        (before,) = multiprocessing.active_children()
        before.kill()
        before.join()
        assert list(child.map([1, 2])) == [2, 4]
    finally:
        child.close()


class Breaking:
    """A pool that breaks at the moment when the second batch is handed to it, and answers neither:
    such a race cannot be brought about at will."""

    def __init__(self) -> None:
        self.handed = 0

    @property
    def active(self) -> bool:
        return self.handed < 2

    def schedule(self, *_: object, **__: object) -> Future[list[int]]:
        self.handed += 1
        return Future()

    def stop(self) -> None:
        """There is nothing to end."""

    def join(self) -> None:
        """Nor to wait for."""


def test_what_was_handed_to_a_pool_that_breaks_another_one_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child, items = Child[int, int](double), range(2 * BATCH)
    monkeypatch.setattr("watcherd.child.LOOK", 0.01)
    monkeypatch.setattr(child, "_pool", Breaking())
    try:
        assert list(child.map(items)) == double(list(items))
    finally:
        child.close()


def test_a_reconcile_without_children_fails_and_says_what_to_do(root: Path, saved: Saved) -> None:
    for number in range(60):
        saved.write_h5(root / f"1h/BTC/LSTM/{number}.h5")
    program = (
        "import multiprocessing; multiprocessing.set_executable('/bin/false')\n"
        "from watcherd.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "--root", str(root), "reconcile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout
    assert "no process that reads models can be started" in done.stderr
    assert "check that this user may run that file" in done.stderr
