"""The life of a real ``watcherd run``: start, signals, a second one, a root that goes and comes."""

import fcntl
import json
import os
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest

from tests.conftest import RunningDaemon, Saved, on_disk, rows, wait_until, watcherd
from watcherd import logs
from watcherd.session import FOLLOW

QUICK = '[watch]\nsettle = "200ms"\n'
Start = Callable[..., RunningDaemon]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(root: Path, start_daemon: Start, number: int) -> None:
    daemon = start_daemon(root)
    assert daemon.stop(number) == 0
    events = [line["event"] for line in daemon.lines()]
    assert events[0] == "daemon.started"
    assert events[-2:] == ["daemon.stopping", "daemon.stopped"]
    assert daemon.log.with_suffix(".err").read_text() == ""


def test_it_ends_within_five_seconds_in_the_middle_of_a_long_cycle(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    for number in range(3000):
        saved.write_h5(root / f"1h/T{number % 50}/LSTM/m{number}.h5")
    daemon = start_daemon(root, settings=QUICK)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(5) == 0
    again = start_daemon(root, settings=QUICK)
    again.settle(60)
    assert len(on_disk(root)) == 3000


def test_a_signal_in_the_middle_of_a_log_line_ends_it_too(root: Path, saved: Saved) -> None:
    """Nobody reads its output: it waits in the middle of a line, with the log's lock held."""
    for number in range(600):
        saved.write_h5(root / f"1h/T{number % 20}/LSTM/m{number}.h5", number % 4)
    command = [sys.executable, "-m", "watcherd", "--root", str(root), "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        wait_until(lambda: waiting_in(process.stdout) > 60_000, 30)
        process.send_signal(signal.SIGTERM)
        try:
            out, _ = process.communicate(timeout=10)
        finally:
            process.kill()
        assert process.returncode == 0
    assert b'"daemon.stopped"' in out.splitlines()[-1]


def waiting_in(pipe: IO[bytes]) -> int:
    """Bytes that were written and not read: ioctl_pipe's FIONREAD."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


def test_every_line_of_the_log_is_json_with_time_level_and_event(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    saved.write_h5(root / "1h/BTC/LSTM/m.h5")
    (root / "1h/BTC/LSTM/text.h5").write_text("text")
    registered = daemon.wait_for("model.registered")
    daemon.wait_for("model.unreadable")
    daemon.stop()
    for line in daemon.lines():
        assert list(line)[:3] == ["timestamp", "level", "event"]
    assert {"model_id", "path", "interval", "ticker", "type", "format", "cause"} <= set(registered)


def test_a_second_daemon_is_refused_with_the_firsts_host_and_process(
    root: Path, start_daemon: Start
) -> None:
    first = start_daemon(root)
    second = watcherd(root, "run", check=False)
    assert second.returncode == 11
    assert str(first.process.pid) in second.stderr
    assert "watcherd status" in second.stderr
    assert second.stdout == ""


def test_a_refused_second_daemon_leaves_the_firsts_status_alone(
    root: Path, start_daemon: Start
) -> None:
    first = start_daemon(root)
    for _ in range(2):
        assert watcherd(root, "run", check=False).returncode == 11
    said = json.loads(watcherd(root, "--json", "status").stdout)
    assert said["daemon"]["pid"] == first.process.pid
    first.stop()
    assert not (root / ".watcherd/daemon.json").exists()


def test_on_a_terminal_a_line_has_the_local_time_and_nothing_that_is_not_known(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure(format="console")
    logs.get().info(logs.PRUNE_TRASHED, path="m.h5", model_id=0, type=None, reason="")
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info +\] prune.trashed +model_id=0 path=m.h5", line)


def test_the_log_tells_what_commands_do_beside_it_once_and_by_whom(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    gone, back = "1h/BTC/LSTM/gone.h5", "1h/BTC/LSTM/back.h5"
    for variant, path in enumerate([gone, back]):
        saved.write_h5(root / path, variant)
    daemon = start_daemon(root, settings=QUICK)
    wait_until(lambda: len(daemon.events("model.registered")) == 2)
    watcherd(root, "rm", gone, back)
    watcherd(root, "restore", back)
    watcherd(root, "trash", "purge", gone)
    (purged,) = wait_until(lambda: daemon.events("trash.purged"), FOLLOW + 10)
    assert purged["cause"] == "request"
    assert "@" in purged["actor"]
    assert sorted(one["path"] for one in daemon.events("model.deleted")) == [back, gone]
    assert [one["path"] for one in daemon.events("trash.restored")] == [back]


def test_what_was_done_while_no_daemon_ran_is_not_told_by_the_next(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    saved.write_h5(root / "1h/BTC/LSTM/m.h5")
    watcherd(root, "reconcile")
    watcherd(root, "rm", "1")
    daemon = start_daemon(root, settings=QUICK)
    daemon.wait_for("cycle.done")
    daemon.stop()
    assert not any(line["event"].startswith("model.") for line in daemon.lines())


def test_events_are_followed_without_any_timer(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK + '[schedule]\nreconcile = "off"\n')
    a, b = root / "1h/BTC/LSTM/a.h5", root / "4h/ETH/LSTM/b.h5"
    saved.write_h5(a)
    registered = daemon.wait_for("model.registered")
    b.parent.mkdir(parents=True)
    a.rename(b)
    moved = daemon.wait_for("model.moved")
    assert moved["model_id"] == registered["model_id"]
    assert (moved["from_path"], moved["path"]) == ("1h/BTC/LSTM/a.h5", "4h/ETH/LSTM/b.h5")
    assert not daemon.events("model.missing")
    b.unlink()
    assert daemon.wait_for("model.missing")["model_id"] == registered["model_id"]
    saved.write_h5(b)
    assert daemon.wait_for("model.returned")["model_id"] == registered["model_id"]
    (row,) = rows(root)
    assert (row["path"], row["state"]) == ("4h/ETH/LSTM/b.h5", "present")
    verbs = [line["verb"] for line in rows(root, "SELECT verb FROM history ORDER BY history_id")]
    assert verbs == ["registered", "moved", "missing", "returned"]


def test_a_ticker_folder_that_moves_takes_its_models_along(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    for number in range(5):
        saved.write_checkpoint(root / f"1h/OLD/LSTM/ckpt-{number}", number % 4)
    daemon.settle()
    ids = {row["path"]: row["model_id"] for row in rows(root)}
    (root / "1h/OLD").rename(root / "1h/NEW")
    wait_until(lambda: len(daemon.events("model.moved")) == 5)
    after = {row["path"].replace("NEW", "OLD"): row["model_id"] for row in rows(root)}
    assert after == ids
    assert {row["ticker"] for row in rows(root)} == {"NEW"}
    assert not daemon.events("model.missing")


def test_started_without_its_root_it_waits_for_it(
    tmp_path: Path, start_daemon: Start, saved: Saved
) -> None:
    root = tmp_path / "later"
    daemon = start_daemon(root, ready=False, settings=QUICK)
    daemon.wait_for("root.suspended")
    assert not root.exists(), "a folder is never made where a disk is not mounted"
    staged = tmp_path / "staged"
    saved.write_h5(staged / "1h/BTC/LSTM/a.h5")
    staged.rename(root)
    daemon.wait_for("model.registered")


def lose_marker(root: Path) -> None:
    (root / ".watcherd/root.json").unlink()


def bear_another_marker(root: Path) -> None:
    marker = root / ".watcherd/root.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"uuid": "another"}))


@pytest.mark.parametrize("befall", [lose_marker, bear_another_marker])
@pytest.mark.parametrize("is_below", [True, False], ids=["registry below", "registry elsewhere"])
def test_a_root_that_a_person_adopts_is_worked_upon_again(
    root: Path, tmp_path: Path, start_daemon: Start, saved: Saved,
    befall: Callable[[Path], None], is_below: bool,
) -> None:  # fmt: skip
    url = () if is_below else ("--registry", f"sqlite:///{tmp_path}/elsewhere.db")
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon = start_daemon(root, *url, settings=QUICK)
    daemon.wait_for("model.registered")
    befall(root)
    daemon.wait_for("root.suspended")
    watcherd(root, *url, "reconcile", "--adopt-root")
    daemon.wait_for("root.resumed")
    (adopted,) = daemon.events("root.adopted")
    assert adopted["root"] == str(root)
    assert "@" in adopted["actor"]
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    wait_until(lambda: len(daemon.events("model.registered")) == 2)


def test_of_a_root_that_is_adopted_although_nothing_was_wrong_it_is_told_too(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon = start_daemon(root, settings=QUICK)
    daemon.wait_for("model.registered")
    watcherd(root, "reconcile", "--adopt-root")
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)  # after a cycle it looks what others wrote
    assert daemon.wait_for("root.adopted")["root"] == str(root)
    assert not daemon.events("root.suspended")


def test_another_root_with_a_registry_of_its_own_is_not_taken_for_ours(
    root: Path, tmp_path: Path, start_daemon: Start, saved: Saved
) -> None:
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon = start_daemon(root, settings=QUICK)
    daemon.wait_for("model.registered")
    other, aside = tmp_path / "other", tmp_path / "aside"
    saved.write_h5(other / "1h/BTC/LSTM/b.h5", 1)
    watcherd(other, "reconcile")
    root.rename(aside)
    other.rename(root)
    said = wait_until(
        lambda: [
            one
            for one in daemon.events("root.suspended")
            if "is another models root" in one["error"]
        ]
    )
    assert "--adopt-root" in said[0]["hint"]
    root.rename(other)
    aside.rename(root)
    daemon.wait_for("root.resumed")
    assert not daemon.events("root.adopted")
    assert [row["path"] for row in rows(root)] == ["1h/BTC/LSTM/a.h5"]
    (untouched,) = rows(other, "SELECT path FROM root")
    assert untouched["path"] == str(other)


def test_the_marker_is_written_with_the_first_artifact(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    assert not (root / ".watcherd/root.json").exists()
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    marker = json.loads((root / ".watcherd/root.json").read_text())
    (row,) = rows(root, "SELECT * FROM root")
    assert marker["uuid"] == row["uuid"]
    assert marker["host"] == row["host"]


def test_a_registry_locked_for_a_while_is_waited_for(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    with closing(sqlite3.connect(root / ".watcherd/registry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        saved.write_h5(root / "1h/BTC/LSTM/a.h5")
        failure = daemon.wait_for("failure.raised")
        assert "locked by another process" in failure["error"]
        assert failure["hint"]
        other.execute("ROLLBACK")
    daemon.wait_for("model.registered")
    assert len(daemon.events("failure.raised")) == 1
    assert daemon.wait_for("failure.ended")


def test_sighup_reads_the_settings_again_and_keeps_the_old_where_they_are_wrong(
    root: Path, start_daemon: Start, tmp_path: Path, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    config = tmp_path / "config0.toml"
    config.write_text("[watch]\nsettle = 7\n")
    daemon.process.send_signal(signal.SIGHUP)
    assert "watch.settle" in daemon.wait_for("failure.raised")["error"]
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    config.write_text('[log]\nlevel = "debug"\n' + QUICK)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("daemon.reloaded")
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    wait_until(lambda: len(daemon.events("model.registered")) == 2)


def test_wrong_settings_end_it_with_78_and_every_fault_at_once(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[watch]\nsettel = "1s"\n[retention]\nmin_age = 5\n')
    done = watcherd(root, "--config", str(config), "run", check=False)
    assert done.returncode == 78
    assert "watch.settel" in done.stderr
    assert "retention.min_age = 5" in done.stderr


def test_users_who_may_only_read_can_read_while_it_runs_and_after(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    daemon = start_daemon(root, settings=QUICK)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    for folder in (root, *root.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    query = (
        "import os, sqlite3; os.setgid(65534); os.setuid(65534);"
        f"c = sqlite3.connect('file:{root}/.watcherd/registry.db?mode=ro', uri=True);"
        "print(c.execute('SELECT count(*) FROM present_model').fetchone()[0])"
    )
    for running in (True, False):
        if not running:
            daemon.stop()
        done = subprocess.run([sys.executable, "-c", query], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("1\n", ""), f"running: {running}"
