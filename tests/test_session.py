"""The worker survives what it did not expect, and looks less and less often at what won't hold."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Saved
from tests.inline import Inline, reconcile, reconciler_of
from watcherd import logs
from watcherd.config import load
from watcherd.cycle import MANY
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


def test_a_registry_that_gets_its_log_later_is_the_same_until_that_is_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was opened on a full disk does when there is room again."""
    monkeypatch.setattr("watcherd.registry.engine._switch_to_wal", lambda _: None)
    settings, file = load(root=root, environ={}), root / ".watcherd/registry.db"
    with (
        reconciler_of(root) as reconciler,
        open_session(settings, reconciler) as session,
        session._footing.stood_upon(),
        closing(sqlite3.connect(file)) as other,
    ):
        assert session._footing.look()
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE theirs (one)")
        session._footing.look_soon()
        assert session._footing.look()
        file.with_name("registry.db-wal").unlink()
        session._footing.look_soon()
        with pytest.raises(RegistryError, match="removed or replaced"):
            session._footing.look()


def others_reconcile(root: Path) -> None:
    with reconciler_of(root) as other:
        other.actor = "ana@train1"
        reconcile(other)


def test_what_others_wrote_is_told_once_and_of_our_own_nothing(
    session: Session, root: Path, saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(format="json")
    saved.write_h5(root / "1h/BTC/LSTM/ours.h5", 1)
    reconcile(session.reconciler)
    saved.write_h5(root / "1h/BTC/LSTM/theirs.h5")
    others_reconcile(root)
    for _ in range(2):
        session._follow_at = 0.0
        session._follow()
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["event"], line["path"]) == ("model.registered", "1h/BTC/LSTM/theirs.h5")
    assert (line["actor"], line["cause"], line["ticker"]) == ("ana@train1", "request", "BTC")


def test_of_many_that_others_wrote_the_log_is_not_flooded(
    session: Session, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(format="json")
    (root / "1h/BTC/LSTM").mkdir(parents=True)
    for number in range(MANY + 1):
        (root / f"1h/BTC/LSTM/{number}.h5").write_text("text")
    others_reconcile(root)
    for _ in range(2):
        session._follow_at = 0.0
        session._follow()
    assert capsys.readouterr().out == ""


def test_what_the_rules_decided_is_told_before_what_went(
    root: Path, tmp_path: Path, saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[watch]\nsettle = "1ms"\n[retention]\nmin_age = "0s"\n'
        '[[retention.rule]]\nmatch = { format = "checkpoint" }\nmax_to_keep = 1\n'
    )
    for step in range(3):
        saved.write_checkpoint(root / f"1h/BTC/LSTM/cp-{step}", step)
    settings = load(config=config, root=root, environ={})
    with reconciler_of(root) as reconciler, open_session(settings, reconciler) as session:
        reconcile(reconciler)
        logs.configure(format="json")
        session._prune()
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    events = [line["event"] for line in lines if line["event"].startswith("prune.")]
    assert events == ["prune.decided", "prune.trashed", "prune.trashed"]


def test_a_dry_run_tells_of_each_model_that_would_go_once(
    root: Path, tmp_path: Path, saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[watch]\nsettle = "1ms"\n[retention]\nmin_age = "0s"\ndry_run = true\n'
        "[[retention.rule]]\nmax_to_keep = 1\n"
    )
    folder = "1h/BTC/LSTM"
    settings = load(config=config, root=root, environ={})
    with reconciler_of(root) as reconciler, open_session(settings, reconciler) as session:
        logs.configure(format="json")
        for step in range(4):
            saved.write_checkpoint(root / f"{folder}/cp-{step}", step)
            reconcile(reconciler)
            session._prune()
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    told = [one for one in lines if one["event"].startswith("prune.") and "path" in one]
    assert [(one["event"], one["path"], one["reason"]) for one in told] == [
        ("prune.foreseen", f"{folder}/cp-0", "max_to_keep 2 of 1"),
        ("prune.foreseen", f"{folder}/cp-1", "max_to_keep 2 of 1"),
        ("prune.foreseen", f"{folder}/cp-2", "max_to_keep 2 of 1"),
    ]
    assert (told[0]["ticker"], told[0]["cause"]) == ("BTC", "timer")
