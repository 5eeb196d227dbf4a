"""The worker survives what it did not expect, and looks less and less often at what won't hold."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inline import reconciler_of
from watcherd.config import load
from watcherd.errors import RegistryBusy, RootSuspended
from watcherd.scope import Cause, Request, folders
from watcherd.session import FIRST_BACKOFF, LONGEST_BACKOFF, Session, open_session

REQUEST = Request(folders(["1h/BTC/LSTM"]), Cause.EVENT)


@pytest.fixture
def session(root: Path) -> Iterator[Session]:
    settings = load(root=root, environ={})
    with reconciler_of(root) as reconciler, open_session(settings, reconciler) as session:
        yield session


def failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("error", [RegistryBusy("locked"), ValueError("odd"), OSError(5, "I/O")])
def test_a_cycle_that_fails_is_tried_again_and_ends_nothing(
    session: Session, error: Exception
) -> None:
    session._guarded(lambda: failing(error), REQUEST)
    assert session.inbox.take(FIRST_BACKOFF + 5) == REQUEST


def test_a_root_that_goes_ends_the_session(session: Session) -> None:
    with pytest.raises(RootSuspended):
        session._guarded(lambda: failing(RootSuspended("gone")), REQUEST)
    assert session.inbox.backlog == 0


def test_it_is_tried_less_and_less_often_until_it_succeeds(session: Session) -> None:
    waits = []
    for _ in range(12):
        session._guarded(lambda: failing(ValueError("odd")))
        waits.append(session._backoff)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (FIRST_BACKOFF, LONGEST_BACKOFF)
    session._guarded(lambda: None)
    assert session._backoff == 0


def test_a_path_whose_change_never_holds_rests_longer_each_time(session: Session) -> None:
    rests = [session._rest("1h/BTC/LSTM/m.h5") for _ in range(30)]
    assert rests[:3] == [1.0, 2.0, 4.0]
    assert rests[-1] == LONGEST_BACKOFF
    assert session._rest("another.h5") == 1.0
