"""The worker survives what it did not expect, and looks less and less often at what won't hold."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inline import Inline, reconciler_of
from watcherd.config import load
from watcherd.errors import RegistryBusy, RegistryError, RootSuspended
from watcherd.scope import ROOT, Cause, Request, folders
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


class Counted(Inline):
    """Counts how often it was started and let go."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def warm(self) -> None:
        self.did.append("warm")

    def close(self) -> None:
        self.did.append("close")


def test_the_reading_child_is_let_go_when_idle_and_comes_back_with_an_event(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.reconciler.child = child = Counted()
    with session._footing.stood_upon():
        monkeypatch.setattr("watcherd.footing.IDLE", 0.0)
        time.sleep(0.01)
        assert session._footing.look()
        assert child.did == ["warm", "close"]
        session._put(Request(folders([""]), Cause.TIMER))
        assert session._footing.look()
        assert child.did == ["warm", "close"], "a timed look rarely needs it"
        session._put(REQUEST)
        assert session.inbox.take(60) is None, "the worker is woken"
        assert session._footing.look()
        assert child.did == ["warm", "close", "warm"]


def test_a_schedule_in_trouble_is_started_anew_and_the_root_looked_at(session: Session) -> None:
    with session._footing.stood_upon():
        session._footing.schedule.stop()
        assert session._stands()
        assert session._footing.schedule.trouble() == ""
        request = session.inbox.take(5)
        assert request == Request(ROOT, Cause.TIMER)


def test_a_registry_that_is_another_ends_the_session(session: Session, root: Path) -> None:
    with session._footing.stood_upon():
        (root / ".watcherd/registry.db").rename(root / ".watcherd/other.db")
        with pytest.raises(RegistryError, match="removed or replaced"):
            session._footing.look()
