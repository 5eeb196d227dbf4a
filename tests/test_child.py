"""A child that is interrupted and ended at any moment."""

import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from watcherd.child import Child


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
