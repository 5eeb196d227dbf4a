"""A daemon for years: it shows that it lives, ends when it hangs, and lets itself be found."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningDaemon, Saved, on_disk, wait_until, watcherd
from tests.namespace import has_namespaces, namespace
from tests.test_root_faults import show
from watcherd import lock, logs, pulse, status
from watcherd.config.values import Every
from watcherd.errors import Refused, WatchError
from watcherd.notify import notify
from watcherd.pulse import Listener, Pulse
from watcherd.schedule import LATE, Schedule
from watcherd.scope import ROOT, Cause, Request, Scope, tree
from watcherd.supervisor import watchdog_seconds
from watcherd.watch.cookie import EVERY, LOOKS, REST, Cookie
from watcherd.watch.kernel import Names, Reader
from watcherd.watch.lookout import Lookout, polled_scope

Start = Callable[..., RunningDaemon]
QUICK = '[watch]\nsettle = "200ms"\n'
PROMISED = 5.0
"""Seconds that an end may take."""

# -- signs of life ---------------------------------------------------------------------------------


def silent_after(*looks: tuple[float, bool], is_busy: bool = True, allowed: float = 0.0) -> bool:
    """Whether a thread counts as hanging after looks at (seconds, has it beaten since the last)."""
    one = Pulse("one", lambda: is_busy, allowed=allowed)
    listener = Listener(limit=10, step=4)
    found: tuple[Pulse, ...] = ()
    for now, has_beaten in looks:
        one.beats += has_beaten
        found = listener.silent((one,), now)
    return bool(found)


SILENCE: dict[str, tuple[bool, Callable[[], bool]]] = {
    "it beats": (False, lambda: silent_after(*((now, True) for now in range(0, 40, 2)))),
    "it was never looked at before": (False, lambda: silent_after((1e6, False))),
    "it is silent for too long": (
        True,
        lambda: silent_after((0, True), (4, False), (8, False), (12, False)),
    ),
    "it is silent for as long as it may": (
        False,
        lambda: silent_after((0, True), (4, False), (8, False), (10, False)),
    ),
    "it beats again after a silence": (
        False,
        lambda: silent_after((0, True), (4, False), (8, False), (9, True), (13, False)),
    ),
    "it waits for work": (
        False,
        lambda: silent_after(*((now, False) for now in range(0, 40, 2)), is_busy=False),
    ),
    "it announced a silence": (
        False,
        lambda: silent_after(*((now, False) for now in range(0, 40, 2)), allowed=60),
    ),
    "the process was stopped for an hour": (False, lambda: silent_after((0, True), (3600, False))),
}


@pytest.mark.parametrize(("is_silent", "happens"), SILENCE.values(), ids=SILENCE.keys())
def test_a_thread_hangs_if_it_has_work_and_is_silent_for_longer_than_it_may(
    is_silent: bool, happens: Callable[[], bool]
) -> None:
    assert happens() is is_silent


def test_a_thread_beats_its_own_pulse_and_without_one_nothing_happens() -> None:
    pulse.beat()
    with pulse.taken("mine") as mine:
        other = threading.Thread(target=pulse.beat)
        other.start()
        other.join()
        assert mine.beats == 0
        pulse.beat(7.0)
        assert (mine.beats, mine.allowed, pulse.every()) == (1, 7.0, (mine,))
    assert pulse.every() == ()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_systemd_says_how_often_it_wants_to_hear_of_us(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert watchdog_seconds(environ, 7) == seconds


class Manager:
    """What systemd hears of a service: sd_notify(3)."""

    def __init__(self, place: Path) -> None:
        self.address = str(place / "notify")
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.bind(self.address)
        self._channel.setblocking(False)
        self.heard: list[tuple[float, str]] = []

    def hear(self) -> list[str]:
        """All that was said so far, line by line."""
        while True:
            try:
                said = self._channel.recv(65536).decode()
            except BlockingIOError:
                return [line for _, line in self.heard]
            self.heard += [(time.monotonic(), line) for line in said.splitlines()]

    def close(self) -> None:
        self._channel.close()


def test_systemd_is_told_that_it_lives_until_it_hangs_and_then_it_ends(
    tmp_path: Path, root: Path, start_daemon: Start
) -> None:
    """The settings are read anew from a pipe that nobody writes to: its worker waits for ever."""
    with closing(Manager(tmp_path)) as manager:
        daemon = start_daemon(
            root, settings=QUICK, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="2000000"
        )
        wait_until(lambda: manager.hear().count("WATCHDOG=1") >= 4, 10)
        assert "READY=1" in manager.hear()
        (tmp_path / "config0.toml").unlink()
        os.mkfifo(tmp_path / "config0.toml")
        daemon.process.send_signal(signal.SIGHUP)
        # A manager that did not listen would keep it waiting.
        wait_until(lambda: manager.hear() and daemon.process.poll() is not None, 30)
        assert daemon.process.returncode == 1
        (failure,) = daemon.events("failure.raised")
        assert failure["error"] == "no sign of life for 2 s: worker"
        assert failure["hint"]
        assert "STOPPING=1" not in manager.hear(), "it did not end by itself"


def test_a_manager_that_does_not_listen_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.notify.PATIENCE", 0.01)
    with closing(Manager(tmp_path)) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        most = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 1
        for _ in range(most + 20):
            notify(WATCHDOG=1)
        assert manager.hear().count("WATCHDOG=1") == most


def hung_in_a_system_call(stack: ExitStack, tmp_path: Path, start: Start) -> RunningDaemon:
    """A daemon whose worker waits for a disk that does not answer, deaf to every signal."""
    within = stack.enter_context(namespace())
    real, root, mood = tmp_path / "real", tmp_path / "shown", tmp_path / "mood"
    real.mkdir()
    root.mkdir()
    mood.write_text("well")
    show(stack, within, real, root, mood)
    url = f"sqlite:///{tmp_path}/registry.db"
    daemon = start(root, "--registry", url, within=within.enter, settings=QUICK)
    daemon.wait_for("cycle.done")
    mood.write_text("hang")
    main = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/wchan")
    wait_until(lambda: "fuse" in main.read_text() or "request_wait" in main.read_text(), 10)
    return daemon


@pytest.mark.skipif(
    not (has_namespaces() and os.access("/dev/fuse", os.W_OK)), reason="no FUSE to be had here"
)
def test_it_ends_within_five_seconds_even_if_a_disk_hangs(
    tmp_path: Path, start_daemon: Start
) -> None:
    with ExitStack() as stack:
        daemon = hung_in_a_system_call(stack, tmp_path, start_daemon)
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(10) == 0
        assert time.monotonic() - began < PROMISED
        assert "could not within" in daemon.events("failure.raised")[0]["error"]


@pytest.mark.long
def test_it_ends_within_five_seconds_even_if_its_reader_is_stopped(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    (reader,) = readers_of(daemon)
    os.kill(reader, signal.SIGSTOP)
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < PROMISED
    assert not Path(f"/proc/{reader}").exists()


def readers_of(daemon: RunningDaemon) -> list[int]:
    """The children that read models, which are the idlest."""
    tasks = Path(f"/proc/{daemon.process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text().split()]
    return [pid for pid in children if os.getpriority(os.PRIO_PROCESS, pid) == 19]


# -- the schedule ----------------------------------------------------------------------------------


@contextmanager
def scheduled(every: float = 3600.0) -> Iterator[tuple[Schedule, threading.Event]]:
    came = threading.Event()
    schedule = Schedule({"reconcile": (Every(every), came.set), "prune": (None, came.set)})
    schedule.start()
    try:
        yield schedule, came
    finally:
        schedule.stop()


def test_the_schedule_tells_when_each_job_is_due_and_does_it() -> None:
    with scheduled(0.05) as (schedule, came):
        due = schedule.due()
        assert due["prune"] is None
        assert str(due["reconcile"]).endswith("Z")
        assert came.wait(5)
        assert schedule.trouble() == ""


def test_a_schedule_notices_that_the_clock_was_set() -> None:
    with scheduled() as (schedule, _):
        schedule._clock_ahead += LATE + 1
        assert schedule.trouble() == "the clock was set"
        schedule.stop()
        schedule.start()
        assert schedule.trouble() == ""


def test_a_schedule_notices_that_its_thread_ended() -> None:
    with scheduled() as (schedule, _):
        schedule.stop()
        assert schedule.trouble() == "the scheduler's thread has ended"


def test_a_schedule_notices_that_its_thread_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watcherd.schedule.LATE", 0.1)
    with scheduled(0.05) as (schedule, _):
        schedule._scheduler.pause()
        wait_until(lambda: schedule.trouble() == "the scheduler's thread hangs", 5)


# -- the caught-up proof ---------------------------------------------------------------------------


def cookie(root: Path) -> tuple[Cookie, Path]:
    house = root / ".watcherd"
    house.mkdir()
    return Cookie(root, lambda: None), house


def test_a_cookie_is_made_and_removed_and_made_again_after_ten_minutes(root: Path) -> None:
    one, house = cookie(root)
    assert one.look(0.0, is_busy=False)
    made = house.stat().st_mtime_ns
    assert list(house.iterdir()) == []
    one.come()
    for now in (1.0, EVERY - 1):
        assert one.look(now, is_busy=False)
    assert house.stat().st_mtime_ns == made
    assert one.look(EVERY, is_busy=False)
    assert house.stat().st_mtime_ns > made


def test_after_an_event_a_cookie_comes_sooner(root: Path) -> None:
    one, house = cookie(root)
    one.look(0.0, is_busy=False)
    one.come()
    one.look(1.0, is_busy=False)
    made = house.stat().st_mtime_ns
    one.hurry()
    one.look(REST - 1, is_busy=False)
    assert house.stat().st_mtime_ns == made
    one.look(REST, is_busy=False)
    assert house.stat().st_mtime_ns > made


def test_a_cookie_is_lost_if_the_watch_is_idle_and_it_has_not_come(root: Path) -> None:
    one, _ = cookie(root)
    assert one.look(0.0, is_busy=False)
    assert all(one.look(2.0 * number, is_busy=True) for number in range(100)), "it is on its way"
    looks = [one.look(200 + 2.0 * number, is_busy=False) for number in range(LOOKS)]
    assert looks == [True] * (LOOKS - 1) + [False]


def test_a_cookie_that_went_with_an_overflow_is_not_missed(root: Path) -> None:
    one, _ = cookie(root)
    one.look(0.0, is_busy=False)
    one.drop()
    assert all(one.look(2.0 * number, is_busy=False) for number in range(LOOKS * 2))


def test_a_root_without_a_folder_of_ours_has_no_cookies(root: Path) -> None:
    one = Cookie(root, lambda: None)
    assert all(one.look(2.0 * number, is_busy=False) for number in range(1000))
    assert list(root.iterdir()) == []


@contextmanager
def looking_out(root: Path, use: str = "auto") -> Iterator[tuple[Lookout, list[Request]]]:
    logs.configure(format="json")  # as a daemon does, whatever ran here before
    put: list[Request] = []
    names = Names(lambda name: name.endswith(".h5"), lambda name: name[0] == ".", lambda name: None)
    lookout = Lookout(root, put.append, lambda: None, names, use, poll=0.0)
    lookout.start()
    try:
        yield lookout, put
    finally:
        lookout.stop()


def test_a_cookie_comes_back_through_the_watch_and_asks_for_nothing(root: Path) -> None:
    (root / ".watcherd").mkdir()
    with looking_out(root) as (lookout, put):
        assert lookout.look()
        wait_until(lambda: lookout.caught_up_at)
        assert lookout.describe()["coverage"] == {"watched": 1, "folders": 1, "overflows": 0}
        assert put == []


def test_a_watch_that_has_gone_deaf_is_lost(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".watcherd").mkdir()
    monkeypatch.setattr("watcherd.watch.Watch.hear_cookies", lambda self: None)
    with looking_out(root) as (lookout, _):
        looks = [lookout.look() for _ in range(LOOKS + 2)]
    assert looks == [True] * LOOKS + [False] * 2
    assert capsys.readouterr().out.count("watch.lost") == 1


# -- what has no events ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "silent", "refused", "scope"),
    [
        ("auto", [], [], Scope()),
        ("auto", ["4h"], [], tree("4h")),
        ("auto", [""], ["1h/BTC"], ROOT),
        ("auto", [], ["1h/BTC", "1h/ETH/LSTM"], tree("1h/BTC", "1h/ETH/LSTM")),
        ("events", ["", "4h"], [], Scope()),
        ("events", [""], ["1h/BTC"], tree("1h/BTC")),
        ("poll", [], [], ROOT),
    ],
)
def test_what_is_looked_at_by_time(
    use: str, silent: list[str], refused: list[str], scope: Scope
) -> None:
    assert polled_scope(use, silent, refused) == scope


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def no_instance() -> int:
    raise OSError(errno.EMFILE, "inotify instance limit reached")


def test_a_root_that_cannot_be_watched_at_all_is_polled_until_it_can(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stack: ExitStack,
) -> None:
    with monkeypatch.context() as patched:
        # As where the user's inotify instances are used up.
        patched.setattr(Reader, "_create_inotify_fd", staticmethod(no_instance))
        with pytest.raises(WatchError, match="instance limit"), looking_out(root, "events"):
            pass
        lookout, put = stack.enter_context(looking_out(root))
        assert lookout.look()
        assert put == [Request(ROOT, Cause.TIMER)]
    assert lookout.look()
    assert put[1:] == [Request(ROOT, Cause.EVENT)]
    assert lookout.polled == Scope()
    said = capsys.readouterr().out
    assert (said.count("watch.degraded"), said.count("watch.healed")) == (1, 1)


def test_to_poll_needs_no_watch(root: Path, start_daemon: Start, saved: Saved) -> None:
    daemon = start_daemon(
        root, settings='[watch]\nuse = "poll"\npoll = "300ms"\nsettle = "100ms"\n'
    )
    (started,) = daemon.events("watch.started")
    assert (started["watched"], started["polled"]) == (0, 1)
    daemon.wait_for("cycle.done")
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    assert daemon.wait_for("model.registered")["cause"] == "timer"
    inotify = Path(f"/proc/{daemon.process.pid}/fd").iterdir()
    assert not [fd for fd in inotify if "inotify" in os.readlink(fd)]
    assert not daemon.events("watch.degraded"), "it was asked for"
    assert len(daemon.events("cycle.done")) == 2, "nothing is said of a look that found nothing"


LIMITED = ("unshare", "-Ur", "sh", "-c")
"""A user namespace has limits of its own below the machine's: user_namespaces(7)."""


@pytest.mark.skipif(
    subprocess.run([*LIMITED, "echo 20 > /proc/sys/user/max_inotify_watches"], capture_output=True)
    .returncode != 0,
    reason="no user namespaces here",
)  # fmt: skip
def test_folders_beyond_the_limit_are_looked_at_by_time_until_it_is_raised(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    for number in range(40):
        (root / f"{number:02}").mkdir()
    script = f'echo 20 > /proc/sys/user/max_inotify_watches; cd {os.getcwd()}; exec "$@"'
    began = time.monotonic()
    daemon = start_daemon(
        root,
        settings='[watch]\npoll = "1s"\nsettle = "100ms"\n',
        within=(*LIMITED, script, "sh"),
    )
    degraded = daemon.wait_for("watch.degraded", 5)
    assert time.monotonic() - began < 10
    assert (degraded["watched"], degraded["folders"], degraded["polled"]) == (20, 41, 21)
    assert degraded["reason"] == "the kernel allows no more watches"
    for number in range(40):
        saved.write_h5(root / f"{number:02}/a.h5", number % 4)
    wait_until(lambda: len(on_disk(root)) == 40, 10)

    raised = f"/proc/{daemon.process.pid}/root/proc/sys/user/max_inotify_watches"
    subprocess.run(
        ["nsenter", "-U", "--preserve-credentials", "-t", str(daemon.process.pid),
         "sh", "-c", f"echo 100 > {raised}"], check=True,
    )  # fmt: skip
    healed = daemon.wait_for("watch.healed", 5)
    assert (healed["watched"], healed["folders"], healed["polled"]) == (41, 41, 0)
    assert len(daemon.events("watch.degraded")) == 1


@pytest.mark.long
def test_a_root_that_no_event_tells_of_is_looked_at_by_time(
    tmp_path: Path, start_daemon: Start, saved: Saved
) -> None:
    if not (has_namespaces() and os.access("/dev/fuse", os.W_OK)):
        pytest.skip("no FUSE to be had here")
    with ExitStack() as stack:
        within = stack.enter_context(namespace())
        real, root, mood = tmp_path / "real", tmp_path / "shown", tmp_path / "mood"
        real.mkdir()
        root.mkdir()
        mood.write_text("well")
        show(stack, within, real, root, mood)
        daemon = start_daemon(
            root,
            *("--registry", f"sqlite:///{tmp_path}/registry.db"),
            settings='[watch]\npoll = "500ms"\nsettle = "100ms"\n',
            within=within.enter,
        )
        assert "fuse at the root" in daemon.wait_for("watch.degraded")["reason"]
        daemon.wait_for("cycle.done")
        saved.write_h5(real / "1h/BTC/LSTM/a.h5")
        assert daemon.wait_for("model.registered")["cause"] == "timer"
        assert len(daemon.events("watch.degraded")) == 1


# -- finding it, and being the only one ------------------------------------------------------------


def said_of(root: Path, *words: str, **environ: str) -> dict[str, Any]:
    done = watcherd(root, *words, "status", "--json", check=False, env={**os.environ, **environ})
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_its_status_is_in_the_runtime_folder_and_any_shell_finds_it(
    root: Path, tmp_path: Path, start_daemon: Start
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    (root / ".watcherd").mkdir()  # so that a cookie can be planted
    daemon = start_daemon(root, settings=QUICK, RUNTIME_DIRECTORY=str(runtime))
    daemon.wait_for("cycle.done")
    assert (runtime / status.NAME).exists()
    assert not (root / ".watcherd" / status.NAME).exists()
    said = said_of(root)["daemon"]
    assert (said["running"], said["pid"]) == (True, daemon.process.pid)
    assert said["caught_up_at"] > said["started_at"]
    assert said["schedule"].keys() == {"reconcile", "prune", "upkeep"}
    assert {"worker", "watch", "watch-reader"} <= said["heartbeats"].keys()

    root.rename(tmp_path / "away")
    daemon.wait_for("root.suspended")
    said = said_of(root, RUNTIME_DIRECTORY=str(runtime))["daemon"]
    assert (said["running"], said["pid"]) == (True, daemon.process.pid)
    assert "is not there" in said["suspended"]
    daemon.stop()
    assert not (runtime / status.NAME).exists()


ELSEWHERE = {"host": "elsewhere", "pid": 4711}


@pytest.mark.parametrize(
    ("age", "is_refused"), [(0, True), (lock.STALE - 60, True), (lock.STALE + 60, False)]
)
def test_a_daemon_of_another_host_is_known_by_what_it_wrote_of_late(
    tmp_path: Path, age: float, is_refused: bool
) -> None:
    """Where the kernel's locks end at the host."""
    file = tmp_path / status.LOCK
    file.write_text(json.dumps(ELSEWHERE))
    os.utime(file, (time.time() - age,) * 2)
    if is_refused:
        with pytest.raises(Refused, match="process 4711 on elsewhere") as refused, lock.hold(file):
            pass
        assert str(file) in refused.value.hint
        return
    with lock.hold(file, status="here"):
        assert lock.read(file)["status"] == "here"
    assert file.read_bytes() == b"", "it does not pass for one that died"


def test_a_lock_is_renewed_every_ten_minutes(tmp_path: Path) -> None:
    file = tmp_path / status.LOCK
    with lock.hold(file) as held:
        os.utime(file, (0, 0))
        now = time.monotonic()
        held.renew(now + lock.RENEW - 1)
        assert file.stat().st_mtime == 0
        held.renew(now + lock.RENEW + 1)
        assert time.time() - file.stat().st_mtime < 60


def test_a_second_daemon_with_another_registry_is_refused_too(
    root: Path, tmp_path: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    url = f"sqlite:///{tmp_path}/other.db"
    second = watcherd(root, "--registry", url, "run", check=False)
    assert second.returncode == 11
    assert f"process {daemon.process.pid} on {socket.gethostname()}" in second.stderr


# -- idle ------------------------------------------------------------------------------------------


def written(pid: int) -> int:
    """Bytes that a process wrote, to whatever: proc_pid_io(5)."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def test_an_idle_daemon_writes_nothing(root: Path, start_daemon: Start, saved: Saved) -> None:
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    (root / ".watcherd").mkdir()
    daemon = start_daemon(root, settings=QUICK)
    daemon.wait_for("model.registered")
    daemon.settle()
    pid = daemon.process.pid
    before, files = written(pid), {path: path.stat() for path in (root / ".watcherd").iterdir()}
    time.sleep(2)  # a look at what it stands upon falls into it
    assert written(pid) == before
    assert {path: path.stat() for path in (root / ".watcherd").iterdir()} == files
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_million_files_in_twenty_five_thousand_folders_cost_an_idle_daemon_next_to_nothing(
    root: Path, start_daemon: Start
) -> None:
    """Files of other names, which a look lists and passes over."""
    for number in range(25_000):
        place = root / f"1h/T{number // 100}/M{number % 100}"
        place.mkdir(parents=True)
        for name in range(40):
            (place / f"{name}.txt").touch()
    daemon = start_daemon(root, settings=QUICK)
    wait_until(lambda: [c for c in daemon.events("cycle.done") if c["scope"] == "root"], 300)
    time.sleep(65)  # the reading child is let go
    pid = daemon.process.pid
    before = (written(pid), cpu_seconds(pid), time.monotonic())
    time.sleep(60)
    took = cpu_seconds(pid) - before[1]
    share = took / (time.monotonic() - before[2])
    resident = memory(pid)
    print(f"idle: {share:.3%} of a core, {resident / 1e6:.0f} MB", file=sys.stderr)
    assert written(pid) == before[0]
    assert share <= 0.002
    assert resident <= 100e6
    assert daemon.events("watch.started")[0]["watched"] == 25_000 + 250 + 2


def cpu_seconds(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Bytes resident: proc_pid_statm(5)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
