"""A training job never notices it: no lock, no file opened for writing, no heavy import, no GPU."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import RunningDaemon, Saved, on_disk, rows, wait_until
from tests.test_supervision import readers_of
from tests.test_trainers import save_in_a_loop
from tests.truth import truth
from watcherd.child import Child
from watcherd.inbox import LONGEST_REST
from watcherd.supervisor import LOOK

Start = Callable[..., RunningDaemon]

needs_strace = pytest.mark.skipif(
    not shutil.which("strace")
    or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode != 0,
    reason="no strace here, or it may not be used",
)

CALLS = "open,openat,openat2,creat,truncate,flock,fcntl,mkdirat,unlinkat,renameat,renameat2"
WRITES = re.compile(
    r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|\b(creat|truncate|mkdirat|unlinkat|rename\w+)\("
)
LOCKS = re.compile(r"\bflock\(|F_(OFD_)?SETLKW?\b")
TASK = re.compile(r"(\d+) ")
PACKAGES = re.compile(r"/(tensorflow|keras|tf_keras|h5py|pyfive|numpy)/(?:__pycache__/)?__init__")


def traced(file: Path) -> tuple[str, ...]:
    """The command that runs another and writes down its calls and its children's; the program stays
    our child, and descriptors are shown with their paths."""
    return ("strace", "-D", "-f", "-y", "-qq", "-o", str(file), "-e", f"trace={CALLS}")


def concerning(root: Path, trace: Path) -> list[str]:
    """The calls that name something below the root, but what is ours there."""
    inside, ours = f"{root}/", f"{root}/.watcherd"
    lines = (
        # A name given with the descriptor of its folder is as good as the whole path.
        re.sub(r'<([^>]*)>, "([^"]*)"', r"<\1/\2>", line)
        for line in trace.read_text(errors="replace").splitlines()
    )
    return [line for line in lines if inside in line.replace(ours, "")]


@needs_strace
@pytest.mark.parametrize(
    "saves", [200, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_no_save_fails_and_nothing_is_locked_opened_for_writing_or_loaded_that_should_not_be(
    root: Path, tmp_path: Path, start_daemon: Start, saved: Saved, saves: int
) -> None:
    """The trainer's HDF5 insists on its lock, as the strictest environment sets it."""
    trace = tmp_path / "trace"
    daemon = start_daemon(root, settings='[watch]\nsettle = "20ms"\n', within=traced(trace))
    trainer = save_in_a_loop(root / "1h/BTC/LSTM/loop.h5", saves)
    place = root / "4h/ETH/LSTM"
    saved.write_checkpoint(place / "ckpt-1")
    (place / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    saved.write_h5(place / "a.h5").rename(place / "b.h5")
    out, _ = trainer.communicate(timeout=saves)  # a second each would be far too long
    assert int(out) == 0, "failed saves"
    daemon.settle()
    tasks = os.listdir(f"/proc/{daemon.process.pid}/task")
    assert os.getpriority(os.PRIO_PROCESS, daemon.process.pid) >= 10
    assert [idleness(reader) for reader in readers_of(daemon)] == ["idle"]
    assert daemon.stop() == 0
    calls = concerning(root, trace)
    looks = [call for call in calls if "loop.h5" in call and "O_RDONLY" in call]
    assert looks, "the trace shows what it should"
    assert [call for call in calls if WRITES.search(call)] == []
    assert [call for call in calls if LOCKS.search(call)] == []
    assert loaded(trace, tasks) == {"the daemon": set(), "its children": {"pyfive", "numpy"}}


def idleness(pid: int) -> str:
    """Its class at the disk, where somebody can tell: ionice(1)."""
    if not shutil.which("ionice"):
        return "idle"
    asked = subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def loaded(trace: Path, tasks: list[str]) -> dict[str, set[str]]:
    """The packages of interest that were opened, by the threads of the daemon and by others."""
    found: dict[str, set[str]] = {"the daemon": set(), "its children": set()}
    for line in trace.read_text(errors="replace").splitlines():
        if (task := TASK.match(line)) and "ENOENT" not in line:
            who = "the daemon" if task[1] in tasks else "its children"
            found[who].update(PACKAGES.findall(line))
    return found


def surroundings(items: list[int]) -> list[str]:
    """In a child: what it may see of GPUs, and how nice it is."""
    return [f"{os.environ['CUDA_VISIBLE_DEVICES']} {os.nice(0)}" for _ in items]


def test_a_child_has_no_gpu_and_gives_way_to_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    child = Child(surroundings)
    try:
        assert list(child.map([1])) == ["-1 19"]
    finally:
        child.close()


def test_a_daemon_that_was_stopped_for_a_while_goes_on_with_all_its_threads(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    """Longer than any of them waits; that made the one that supervises die of a made-up signal."""
    daemon = start_daemon(root, settings='[watch]\nsettle = "50ms"\n')
    daemon.process.send_signal(signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(LOOK + 0.2)
    daemon.process.send_signal(signal.SIGCONT)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    assert daemon.log.with_suffix(".err").read_text() == ""
    assert daemon.process.poll() is None


HELD = """
import sys, h5py
with h5py.File(sys.argv[1], "w") as file:
    file.attrs["layer_names"] = [b"dense"]
    file.flush()
    print("whole, and not closed", flush=True)
    sys.stdin.readline()
"""


def test_what_a_writer_holds_is_not_judged_before_it_is_closed(
    root: Path, start_daemon: Start
) -> None:
    """Flushed, it looks whole; what comes next nobody knows."""
    (root / "1h/BTC/LSTM").mkdir(parents=True)
    daemon = start_daemon(root, settings='[watch]\nsettle = "50ms"\n[log]\nlevel = "debug"\n')
    with subprocess.Popen(
        [sys.executable, "-c", HELD, str(root / "1h/BTC/LSTM/held.h5")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "HDF5_USE_FILE_LOCKING": "TRUE"},
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()
        (root / "1h/BTC/LSTM/other.h5").write_text("text")
        daemon.wait_for("model.unreadable")
        wait_until(lambda: len(daemon.events("cycle.done")) >= 3)
        assert on_disk(root) == {"1h/BTC/LSTM/other.h5": "unreadable"}
        writer.communicate(b"\n")
    assert daemon.wait_for("model.registered")["path"] == "1h/BTC/LSTM/held.h5"
    assert not daemon.events("model.incomplete")


OVERWRITER = """
import sys, h5py, numpy
path, megabytes = sys.argv[1], int(sys.argv[2])
random = numpy.random.default_rng()
def pause(moment):
    if moment == wanted:
        print(moment, flush=True)
        sys.stdin.readline()
for wanted in iter(lambda: sys.stdin.readline().strip(), ""):
    with h5py.File(path, "w") as file:
        pause("emptied")
        file.attrs["layer_names"] = [b"dense"]
        for half in "ab":
            file[f"dense/{half}"] = random.random(megabytes * 1_000_000 // 16)
            if half == "a":
                pause("half written")
        file.flush()
        pause("whole, and not closed")
    print("closed", flush=True)
"""
MOMENTS = ("emptied", "half written", "whole, and not closed", "closed")
"""When a writer takes its time, and the daemon a look; in the end it goes on without one."""
IN_TIME = LONGEST_REST + 15
"""Seconds: on a machine that is busy with more than this, a look may have taken long."""


@contextmanager
def overwriting(path: Path, megabytes: int, locking: str) -> Iterator[Callable[..., None]]:
    """A writer with a file of its own; it overwrites it in place, and lets us look meanwhile."""
    path.parent.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", OVERWRITER, str(path), str(megabytes)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "HDF5_USE_FILE_LOCKING": locking},
    ) as writer:  # fmt: skip
        told, ask = writer.stdout, writer.stdin
        assert told is not None
        assert ask is not None

        def overwrite(moment: str, look: Callable[[], object]) -> None:
            print(moment, file=ask, flush=True)
            while (reached := told.readline()) != "closed\n":
                assert reached == f"{moment}\n"
                look()
                print(file=ask, flush=True)

        yield overwrite


def look_of(daemon: RunningDaemon) -> None:
    """Wait for a look at what is quiet enough to be judged."""

    def looks() -> int:
        return len([line for line in daemon.events("cycle.done") if not line["settling"]])

    before = looks()
    wait_until(lambda: looks() > before, IN_TIME)


def fingerprint_of(path: Path) -> str:
    """As docs/formats.md says, of more than 64 KiB: the size, and sixteen blocks of 4 KiB."""
    size = path.stat().st_size
    with path.open("rb") as file:
        pieces = [os.pread(file.fileno(), 4096, (size - 4096) * n // 15) for n in range(16)]
    content = size.to_bytes(8, "little") + b"".join(pieces)
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@pytest.mark.parametrize(
    ("locking", "verbs"),
    [
        ("TRUE", {"registered", "updated"}),
        # Nothing shows that somebody is at it: half a file that rests is half a file.
        ("FALSE", {"registered", "updated", "incomplete", "completed"}),
    ],
)
@pytest.mark.parametrize(
    ("times", "megabytes"),
    [(5, 2), pytest.param(100, 50, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def test_what_is_overwritten_in_place_is_never_unreadable_and_never_missing(
    root: Path, start_daemon: Start, times: int, megabytes: int, locking: str, verbs: set[str]
) -> None:
    """As h5py and Keras do it: the file is emptied, and written under the eyes of the daemon."""
    daemon = start_daemon(root, settings='[watch]\nsettle = "50ms"\n[log]\nlevel = "debug"\n')
    path = root / "1h/BTC/LSTM/best.h5"

    def is_known() -> bool:
        return [row["fingerprint"] for row in rows(root)] == [fingerprint_of(path)]

    with overwriting(path, megabytes, locking) as overwrite:
        for number in range(-1, times):
            moment = MOMENTS[number % len(MOMENTS)]
            overwrite(moment, lambda: look_of(daemon))
            if moment != "closed" or number < 0:
                wait_until(is_known, IN_TIME)
    daemon.settle(IN_TIME)
    assert is_known()
    assert on_disk(root) == {"1h/BTC/LSTM/best.h5": "present"}
    history = [line["verb"] for line in rows(root, "SELECT verb FROM history")]
    assert set(history) == verbs
    assert history.count("registered") == 1


# -- real trainers, killed and started again -------------------------------------------------------

MANAGER = """
import sys, time, tensorflow as tf
state = {"w": tf.Variable(tf.random.normal((50, 50))), "step": tf.Variable(0, dtype=tf.int64)}
manager = tf.train.CheckpointManager(tf.train.Checkpoint(**state), sys.argv[1], max_to_keep=5)
manager.checkpoint.restore(manager.latest_checkpoint)
while True:
    state["step"].assign_add(1)
    manager.save(checkpoint_number=state["step"])
    time.sleep(0.2)
"""
SAVER = """
import sys, time, tensorflow as tf
v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    v1.get_variable("w", shape=(50, 50))
    step = v1.train.get_or_create_global_step()
    session.run(v1.global_variables_initializer())
    saver = v1.train.Saver(max_to_keep=5)
    latest = tf.train.latest_checkpoint(sys.argv[1])
    if latest:
        saver.restore(session, latest)
    while True:
        session.run(step.assign_add(1))
        saver.save(session, sys.argv[1] + "/model.ckpt", global_step=step)
        time.sleep(0.2)
"""
ROUNDS, ROUND = 6, 20.0
"""Starts of each trainer, and seconds that it then trains."""


@contextmanager
def training(code: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen([sys.executable, "-c", code, str(folder)]) as trainer:
        try:
            yield trainer
        finally:
            trainer.send_signal(signal.SIGKILL)


def present(root: Path) -> set[str]:
    query = "SELECT path FROM model WHERE state = 'present'"
    return {row["path"] for row in rows(root, query)}


def opens(prefix: Path) -> bool:
    """Whether TensorFlow can open it; what its trainer has deleted by now nobody can."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        return all(
            reader.get_tensor(name) is not None for name in reader.get_variable_to_shape_map()
        )
    except (tf.errors.OpError, ValueError):
        wait = time.monotonic() + 1  # it deletes the index first, and then the rest
        while time.monotonic() < wait:
            if not prefix.with_name(prefix.name + ".index").exists():
                return True
        return False


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_is_called_present_opens_whatever_happens_to_its_trainer(
    root: Path, start_daemon: Start
) -> None:
    daemon = start_daemon(root, settings='[watch]\nsettle = "100ms"\n')
    checked: set[str] = set()
    false: list[str] = []
    for _ in range(ROUNDS):
        with (
            training(MANAGER, root / "1h/BTC/LSTM"),
            training(SAVER, root / "1h/ETH/LSTM"),
        ):
            until = time.monotonic() + ROUND
            while time.monotonic() < until:
                for path in present(root) - checked:
                    checked.add(path)
                    false += [] if opens(root / path) else [path]
    assert false == []
    assert len(checked) > ROUNDS
    print(f"{len(checked)} checkpoints were opened as soon as they were present", file=sys.stderr)
    daemon.settle()
    assert present(root) <= truth(root).keys()
    assert not daemon.events("model.unreadable")
