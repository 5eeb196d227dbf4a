"""The watch: what happens on disk becomes scopes; what goes wrong with the watching becomes known.

Real files and the real inotify. What needs a stopped process, a limit of its own or another user
runs in a child process, which is told what to do line by line (CHILD below).
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import watcherd.watch.kernel
from watcherd.errors import WatchError
from watcherd.scope import Cause, Request, Scope, folders, tree
from watcherd.watch import Trouble, Watch
from watcherd.watch.kernel import Reader

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")

PATIENCE = 10.0
"""Seconds after which what should have arrived counts as lost."""

QUICK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where thousands of folders are made fastest: in memory."""

LSTM, ETH = "1h/BTC/LSTM", "1h/ETH/LSTM"


def is_relevant(name: str) -> bool:
    return name.endswith((".h5", ".index")) or name == "checkpoint"


def is_ignored_folder(name: str) -> bool:
    return name.startswith(".") or temporary_of(name) is not None


def temporary_of(name: str) -> str | None:
    return name.removesuffix("_temp") if name.endswith("_temp") else None


class Ear:
    """A watch of a root, and what it puts."""

    def __init__(
        self,
        root: Path,
        put: Callable[[Request], None] | None = None,
        on_trouble: Callable[[Trouble], None] | None = None,
        is_ignored: Callable[[str], bool] = is_ignored_folder,
    ) -> None:
        self.root = root
        self.troubles: queue.Queue[Trouble] = queue.Queue()
        self._requests: queue.Queue[Request] = queue.Queue()
        self.watch = Watch(
            root,
            put or self._requests.put,
            is_relevant=is_relevant,
            is_ignored_folder=is_ignored,
            temporary_of=temporary_of,
            on_trouble=on_trouble or self.troubles.put,
        )

    def heard(self) -> list[Request]:
        """All that was put for what happened until now: a new folder marks the end of it."""
        mark = os.path.basename(tempfile.mkdtemp(prefix="mark", dir=self.root))
        requests = []
        while (request := self._requests.get(timeout=PATIENCE)).scope != tree(mark):
            requests.append(request)
        return requests

    def scopes(self) -> set[Scope]:
        return {request.scope for request in self.heard()}


@contextmanager
def listening(root: Path, **options: Any) -> Iterator[Ear]:
    ear = Ear(root, **options)
    ear.watch.start()
    try:
        yield ear
    finally:
        ear.watch.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A models root with two folders that hold a model each, and a place outside beside it."""
    for folder in (LSTM, ETH):
        (tmp_path / "root" / folder).mkdir(parents=True)
        (tmp_path / "root" / folder / "old.h5").write_bytes(b"old")
        (tmp_path / "root" / folder / "scaler.x").write_bytes(b"old")
    (tmp_path / "root/1h/SOL").mkdir()
    (tmp_path / "root/.watcherd/trash").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    return tmp_path / "root"


@pytest.fixture
def ear(root: Path) -> Iterator[Ear]:
    with listening(root) as ear:
        yield ear


# -- what happens, and where to look ---------------------------------------------------------------


def write(path: Path) -> None:
    path.write_bytes(b"new")


def save_checkpoint(folder: Path) -> None:
    """What TensorFlow does with the names that matter here, in its order."""
    (folder / "ckpt-1_temp").mkdir()
    write(folder / "ckpt-1_temp/part-00000-of-00001.index")
    shutil.rmtree(folder / "ckpt-1_temp")


def save_state_file(folder: Path) -> None:
    """What TensorFlow does, so that readers see the old one or the new."""
    write(folder / "checkpoint.tmp0a")
    (folder / "checkpoint.tmp0a").rename(folder / "checkpoint")


def come_and_go(path: Path) -> None:
    write(path)
    path.unlink()


def read_much(folder: Path) -> None:
    for _ in range(300):
        (folder / "old.h5").read_bytes()
        os.listdir(folder)


def leave_with_a_folder_and_write_in_it(root: Path) -> None:
    out = root.parent / "out/LSTM"
    (root / LSTM).rename(out)
    write(out / "new.h5")


FILES: dict[str, tuple[Callable[[Path], object], set[Scope]]] = {
    "a model is saved": (lambda r: write(r / LSTM / "new.h5"), {folders([LSTM])}),
    "a model is overwritten": (lambda r: write(r / LSTM / "old.h5"), {folders([LSTM])}),
    "a model is saved in the root": (lambda r: write(r / "new.h5"), {folders([""])}),
    "a model is deleted": (lambda r: (r / LSTM / "old.h5").unlink(), {folders([LSTM])}),
    "a model gets a second name": (
        lambda r: os.link(r / LSTM / "old.h5", r / ETH / "link.h5"),
        {folders([ETH])},
    ),
    "a model is renamed": (
        lambda r: (r / LSTM / "old.h5").rename(r / LSTM / "new.h5"),
        {folders([LSTM])},
    ),
    "a model moves: both folders in one scope": (
        lambda r: (r / LSTM / "old.h5").rename(r / ETH / "new.h5"),
        {folders([LSTM, ETH])},
    ),
    "a model moves out": (
        lambda r: (r / LSTM / "old.h5").rename(r.parent / "out/old.h5"),
        {folders([LSTM])},
    ),
    "a model moves into our trash": (
        lambda r: (r / LSTM / "old.h5").rename(r / ".watcherd/trash/old.h5"),
        {folders([LSTM])},
    ),
    "a file gets a name that matters": (
        lambda r: save_state_file(r / LSTM),
        {folders([LSTM])},
    ),
    "a model gets a name that does not": (
        lambda r: (r / LSTM / "old.h5").rename(r / LSTM / "old.h5.bak"),
        {folders([LSTM])},
    ),
    "a model moves and gets a name that does not": (
        lambda r: (r / LSTM / "old.h5").rename(r / ETH / "old.h5.bak"),
        {folders([LSTM])},
    ),
    "a file of another name is renamed": (
        lambda r: (r / LSTM / "scaler.x").rename(r / ETH / "scaler.y"),
        set(),
    ),
    "files of other names come and go": (
        lambda r: come_and_go(r / LSTM / "events.log"),
        set(),
    ),
    "models are read": (lambda r: read_much(r / LSTM), set()),
    "a folder appears": (lambda r: (r / "1h/BTC/GRU").mkdir(), {tree("1h/BTC/GRU")}),
    "an empty folder vanishes": (lambda r: (r / "1h/SOL").rmdir(), {tree("1h/SOL")}),
    "a folder is renamed: both names in one scope": (
        lambda r: (r / "1h/BTC").rename(r / "1h/XBT"),
        {tree("1h/BTC", "1h/XBT")},
    ),
    "a folder moves out, and what is in it goes on elsewhere": (
        leave_with_a_folder_and_write_in_it,
        {tree(LSTM)},
    ),
    "a folder moves to a hidden name": (
        lambda r: (r / "1h/BTC").rename(r / "1h/.BTC"),
        {tree("1h/BTC")},
    ),
    "a folder moves into a hidden one": (
        lambda r: (r / "1h/BTC").rename(r / ".watcherd/BTC"),
        {tree("1h/BTC")},
    ),
    "our own house is busy": (
        lambda r: come_and_go(r / ".watcherd/trash/new.h5"),
        set(),
    ),
    "a hidden folder appears": (lambda r: (r / "1h/.cache").mkdir(), set()),
    "a checkpoint's temporary folder comes and goes": (
        lambda r: save_checkpoint(r / LSTM),
        {folders([LSTM])},
    ),
    "a link to a folder appears": (
        lambda r: (r / "1h/link").symlink_to(r.parent / "out", target_is_directory=True),
        set(),
    ),
    "a name is not UTF-8": (
        lambda r: os.rename(
            os.fsencode(r / LSTM / "old.h5"), os.fsencode(r / LSTM) + b"/m\xf6del.h5"
        ),
        {folders([LSTM])},
    ),
    "a folder's name is not UTF-8": (
        lambda r: os.mkdir(os.fsencode(r / LSTM) + b"/\xff"),
        {tree(f"{LSTM}/\udcff")},
    ),
}


@pytest.mark.parametrize(("act", "scopes"), FILES.values(), ids=FILES.keys())
def test_what_happens_says_where_to_look(
    ear: Ear, act: Callable[[Path], object], scopes: set[Scope]
) -> None:
    act(ear.root)
    requests = ear.heard()
    assert {request.scope for request in requests} == scopes
    assert {request.cause for request in requests} <= {Cause.EVENT}


def test_a_folder_that_moves_in_is_watched_with_all_below_it(ear: Ear) -> None:
    (ear.root.parent / "out/DOT/LSTM").mkdir(parents=True)
    (ear.root.parent / "out/DOT").rename(ear.root / "1h/DOT")
    assert ear.scopes() == {tree("1h/DOT")}
    write(ear.root / "1h/DOT/LSTM/new.h5")
    assert ear.scopes() == {folders(["1h/DOT/LSTM"])}


def test_a_folder_that_comes_out_of_a_hidden_one_is_watched(ear: Ear) -> None:
    (ear.root / ".watcherd/trash/SOL").mkdir()
    (ear.root / ".watcherd/trash/SOL").rename(ear.root / "SOL")
    assert ear.scopes() == {tree("SOL")}
    write(ear.root / "SOL/new.h5")
    assert ear.scopes() == {folders(["SOL"])}


def test_a_folder_that_moved_is_watched_under_its_new_name(ear: Ear) -> None:
    (ear.root / "1h").rename(ear.root / "60m")
    ear.heard()
    write(ear.root / "60m/BTC/LSTM/new.h5")
    assert ear.scopes() == {folders(["60m/BTC/LSTM"])}
    assert ear.watch.coverage().watched == in_use()[1]


def test_a_folder_that_takes_the_place_of_a_moved_one_is_not_mistaken_for_it(ear: Ear) -> None:
    for _ in range(50):
        (ear.root / "a").mkdir()
        (ear.root / "a").rename(ear.root / "b")
        (ear.root / "a").mkdir()
        ear.heard()
        write(ear.root / "a/new.h5")
        assert ear.scopes() == {folders(["a"])}
        write(ear.root / "b/new.h5")
        assert ear.scopes() == {folders(["b"])}
        shutil.rmtree(ear.root / "a")
        shutil.rmtree(ear.root / "b")
        ear.heard()


def test_a_folder_that_vanishes_is_asked_for_with_what_was_in_it(ear: Ear) -> None:
    shutil.rmtree(ear.root / "1h")
    assert union(ear.heard()) == tree("1h")


@contextmanager
def held_up_at(root: Path, name: str, until: Callable[[], object]) -> Iterator[Ear]:
    """A watch whose reader is held up by a folder of that name."""

    def is_ignored_slowly(asked: str) -> bool:
        if asked == name:
            until()
        return is_ignored_folder(asked)

    with listening(root, is_ignored=is_ignored_slowly) as ear:
        yield ear


def test_half_a_move_waits_for_its_other_half_and_no_longer(root: Path) -> None:
    with held_up_at(root, "XBT", lambda: time.sleep(0.1)) as ear:
        start = time.monotonic()
        (root / "1h/BTC").rename(root / "1h/XBT")
        assert ear.scopes() == {tree("1h/BTC", "1h/XBT")}
        assert time.monotonic() - start < 0.45  # watchdog's while is 0.5 s


def test_a_new_name_that_does_not_matter_keeps_nothing_waiting(ear: Ear) -> None:
    start = time.monotonic()
    (ear.root / LSTM / "old.h5").rename(ear.root / LSTM / "old.h5.bak")
    assert ear.scopes() == {folders([LSTM])}
    assert time.monotonic() - start < 0.45


def test_a_new_folder_is_one_request_whatever_is_in_it(root: Path) -> None:
    is_filled = threading.Event()
    with held_up_at(root, "GRU", lambda: is_filled.wait(PATIENCE)) as ear:
        (root / "1h/BTC/GRU").mkdir()
        for number in range(100):
            write(root / f"1h/BTC/GRU/{number}.h5")
        is_filled.set()
        assert [request.scope for request in ear.heard()] == [tree("1h/BTC/GRU")]


def test_a_folder_that_moves_on_before_it_was_watched_is_not_watched_outside(root: Path) -> None:
    has_left = threading.Event()
    with held_up_at(root, "SOL2", lambda: has_left.wait(PATIENCE)) as ear:
        (root / "1h/SOL").rename(root / "1h/BTC/SOL2")
        (root / "1h/BTC").rename(root.parent / "out/BTC")
        has_left.set()
        assert union(ear.heard()) == tree("1h/SOL", "1h/BTC")
        assert ear.watch.coverage().watched == in_use()[1] == len(listed(root)) - 2


def test_what_moved_out_is_watched_no_more(ear: Ear) -> None:
    before = in_use()[1]
    (ear.root / "1h/BTC").rename(ear.root.parent / "out/BTC")
    (ear.root / "1h/ETH").rename(ear.root / ".watcherd/ETH")
    (ear.root / "1h/SOL").rename(ear.root / "1h/.SOL")
    ear.heard()
    assert ear.watch.coverage().watched == in_use()[1] == before - 5 + 1  # one ends `heard`


def test_a_folder_that_takes_the_name_of_one_that_moved_out_is_watched(ear: Ear) -> None:
    (ear.root / LSTM).rename(ear.root.parent / "out/LSTM")
    (ear.root / LSTM / "deeper").mkdir(parents=True)
    ear.heard()
    for folder in (LSTM, f"{LSTM}/deeper"):
        write(ear.root / folder / "new.h5")
        assert ear.scopes() == {folders([folder])}


def test_a_name_used_again_after_its_folder_moved_out_does_not_stop_the_watch(ear: Ear) -> None:
    outside = ear.root.parent / "out/LSTM"
    (ear.root / LSTM).rename(outside)
    (ear.root / LSTM).mkdir()
    (ear.root / LSTM).rmdir()
    ear.heard()
    shutil.rmtree(outside)
    (ear.root / LSTM).mkdir()
    ear.heard()
    write(ear.root / LSTM / "new.h5")
    assert ear.scopes() == {folders([LSTM])}
    assert ear.watch.is_healthy()


def test_nothing_slips_through_while_folders_are_made(ear: Ear) -> None:
    made = [f"1m/{number}/LSTM" for number in range(300)]
    for folder in made:
        (ear.root / folder).mkdir(parents=True)
        write(ear.root / folder / "new.h5")
    scope = union(ear.heard())
    assert [folder for folder in made if not scope.covers(folder)] == []
    for folder in made:
        write(ear.root / folder / "again.h5")
    assert union(ear.heard()).folders == frozenset(made)


def union(requests: list[Request]) -> Scope:
    return Scope(
        trees=frozenset().union(*(request.scope.trees for request in requests)),
        folders=frozenset().union(*(request.scope.folders for request in requests)),
    )


# -- whatever happens ------------------------------------------------------------------------------

NAMES = st.sampled_from("abc")
FOLDERS = st.lists(NAMES, max_size=2).map("/".join)
MODELS = st.builds(lambda folder, name: f"{folder}/{name}.h5".lstrip("/"), FOLDERS, NAMES)
ACTS = st.one_of(
    st.tuples(st.just("write"), MODELS, MODELS),
    st.tuples(st.just("remove"), MODELS, MODELS),
    st.tuples(st.just("move"), MODELS, MODELS),
    st.tuples(st.just("mkdir"), FOLDERS, FOLDERS),
    st.tuples(st.just("rmtree"), FOLDERS, FOLDERS),
    st.tuples(st.just("move"), FOLDERS, FOLDERS),
    st.tuples(st.just("leave"), FOLDERS, FOLDERS),
    st.tuples(st.just("return"), FOLDERS, FOLDERS),
)


def act(root: Path, verb: str, path: str, other: str) -> None:
    """Do one thing, if it can be done."""
    outside = root.parent / "out"
    try:
        match verb:
            case "write":
                write(root / path)
            case "remove":
                (root / path).unlink()
            case "mkdir":
                (root / path).mkdir(parents=True)
            case "rmtree" if path:
                shutil.rmtree(root / path)
            case "move" if path:
                (root / path).rename(root / other)
            case "leave" if path:
                (root / path).rename(outside / path.replace("/", "-"))
            case "return" if path:
                (outside / path.replace("/", "-")).rename(root / other)
    except OSError:
        pass


def listed(root: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """Every folder, with the identity and change time of the models in it."""
    return {
        os.path.relpath(folder, root).removeprefix("."): {
            name: ((found := os.stat(os.path.join(folder, name))).st_ino, found.st_ctime_ns)
            for name in names
        }
        for folder, _, names in os.walk(root)
    }


@settings(max_examples=60, deadline=None)
@given(acts=st.lists(ACTS, min_size=1, max_size=12))
def test_whatever_happens_every_folder_that_changed_is_asked_for(
    acts: list[tuple[str, str, str]],
) -> None:
    with tempfile.TemporaryDirectory(dir=QUICK) as place:
        root = Path(place, "root")
        for folder in ("root/a/a", "root/b", "out"):
            Path(place, folder).mkdir(parents=True)
        with listening(root) as ear:
            before = listed(root)
            for verb, path, other in acts:
                act(root, verb, path, other)
            after = listed(root)
            scope = union(ear.heard())
            changed = {f for f in before.keys() | after.keys() if before.get(f) != after.get(f)}
            assert {folder for folder in changed if not scope.covers(folder)} == set()
            for folder in after:
                write(root / folder / "again.h5")
            assert union(ear.heard()).folders == frozenset(after)
            assert ear.watch.coverage().watched == len(listed(root))
            assert ear.watch.is_healthy()


# -- what goes wrong -------------------------------------------------------------------------------


def lost(ear: Ear) -> str:
    """The reason for which the watch says that it is lost; it says so once."""
    assert ear.troubles.get(timeout=PATIENCE) is Trouble.LOST
    assert ear.troubles.empty()
    coverage = ear.watch.coverage()
    assert not coverage.alive
    assert not ear.watch.is_healthy()
    return coverage.reason


def test_a_root_that_is_removed_is_a_lost_watch(ear: Ear) -> None:
    shutil.rmtree(ear.root)
    assert "removed" in lost(ear)


def test_a_root_that_is_renamed_is_a_lost_watch(ear: Ear) -> None:
    ear.root.rename(ear.root.with_name("other"))
    assert "renamed" in lost(ear)


def test_a_root_that_moved_with_the_folder_above_it_is_not_healthy(tmp_path: Path) -> None:
    (tmp_path / "above/root").mkdir(parents=True)
    with listening(tmp_path / "above/root") as ear:
        assert ear.watch.is_healthy()
        (tmp_path / "above").rename(tmp_path / "elsewhere")
        assert not ear.watch.is_healthy()
        (tmp_path / "above/root").mkdir(parents=True)
        assert not ear.watch.is_healthy()


def test_a_watch_is_lost_only_once(ear: Ear) -> None:
    ear.root.rename(ear.root.with_name("other"))
    assert "renamed" in lost(ear)
    shutil.rmtree(ear.root.with_name("other"))
    deadline = time.monotonic() + PATIENCE
    while ear.watch.coverage().watched and time.monotonic() < deadline:
        time.sleep(0.001)
    ear.watch.stop()
    assert "renamed" in ear.watch.coverage().reason
    assert ear.troubles.empty()


def fail(*_: object) -> Any:
    raise RuntimeError("no more")


def test_a_put_that_fails_is_a_lost_watch(root: Path) -> None:
    ear = Ear(root, put=fail)
    ear.watch.start()
    write(root / "new.h5")
    assert "no more" in lost(ear)
    ear.watch.stop()


def test_a_reading_thread_that_fails_is_a_lost_watch(root: Path) -> None:
    troubles: queue.Queue[Trouble] = queue.Queue()
    watch = Watch(
        root,
        fail,
        is_relevant=fail,
        is_ignored_folder=is_ignored_folder,
        temporary_of=temporary_of,
        on_trouble=troubles.put,
    )
    watch.start()
    write(root / "new.h5")
    assert troubles.get(timeout=PATIENCE) is Trouble.LOST
    assert "no more" in watch.coverage().reason
    watch.stop()


def test_falling_far_behind_is_an_overflow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcherd.watch.kernel, "MOST_BEHIND", 100)
    put: queue.Queue[Request] = queue.Queue()
    may_go_on = threading.Event()

    def put_slowly(request: Request) -> None:
        put.put(request)
        if request.cause is Cause.EVENT:
            may_go_on.wait(PATIENCE)

    ear = Ear(root, put_slowly)
    ear.watch.start()
    for _ in range(150):
        write(root / LSTM / "old.h5")
        write(root / ETH / "old.h5")
    assert ear.troubles.get(timeout=PATIENCE) is Trouble.OVERFLOW
    may_go_on.set()
    assert [put.get(timeout=PATIENCE).cause for _ in range(2)] == [Cause.EVENT, Cause.OVERFLOW]
    (root / "mark").mkdir()
    while put.get(timeout=PATIENCE).scope != tree("mark"):
        pass
    assert ear.watch.coverage().overflows <= 300 // 100
    assert ear.watch.is_healthy()
    ear.watch.stop()


def test_what_happens_while_it_stops_is_no_trouble(root: Path) -> None:
    ear = Ear(root)
    ear.watch.start()
    ear.watch.stop()
    assert ear.troubles.empty()
    assert not ear.watch.coverage().alive
    assert ear.watch.coverage().reason == ""


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda path: None, "No such file", id="it is not there"),
        pytest.param(write, "Not a directory", id="it is a file"),
        pytest.param(lambda path: path.symlink_to("."), "Not a directory", id="it is a symlink"),
    ],
)
def test_a_root_that_cannot_be_watched_is_an_error_with_a_next_step(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(tmp_path / "root")
    before = in_use()
    for _ in range(50):
        with pytest.raises(WatchError, match=reason) as caught:
            Ear(tmp_path / "root").watch.start()
        assert str(tmp_path / "root") in caught.value.message
        assert caught.value.hint
    assert in_use() == before


# -- start and stop --------------------------------------------------------------------------------


def in_use() -> tuple[int, int, int]:
    """Of this process: open descriptors, inotify watches (proc_pid_fdinfo(5)), threads."""
    descriptors = os.listdir("/proc/self/fdinfo")
    watches = 0
    for descriptor in descriptors:
        try:
            watches += Path("/proc/self/fdinfo", descriptor).read_text().count("inotify wd:")
        except FileNotFoundError:  # the descriptor that listed them
            continue
    return len(descriptors), watches, threading.active_count()


def test_a_watch_that_was_stopped_leaves_nothing_and_the_next_one_works(root: Path) -> None:
    before = in_use()
    for number in range(20):
        with listening(root) as ear:
            assert ear.watch.coverage().watched == in_use()[1] - before[1] == 7 + number
            write(root / LSTM / "new.h5")
            assert ear.scopes() == {folders([LSTM])}
        assert in_use() == before


def test_descriptors_are_given_back_even_if_the_stop_comes_before_the_thread_got_going() -> None:
    before = in_use()
    stopped_before = Reader(fail)
    stopped_before.stop()
    stopped_before.run()
    stopped_meanwhile = Reader(fail)
    stopped_meanwhile.stopped_event.set()
    stopped_meanwhile.run()
    stopped_meanwhile.close()
    assert in_use() == before


def test_it_stops_within_a_second_whatever_is_on_its_way(root: Path) -> None:
    with listening(root) as ear:
        (root / LSTM / "old.h5").rename(root.parent / "out/old.h5")
        for number in range(500):
            write(root / ETH / f"{number}.h5")
        start = time.monotonic()
        ear.watch.stop()
        assert time.monotonic() - start < 1


def test_start_returns_when_every_folder_is_watched(root: Path) -> None:
    with listening(root) as ear:
        (root / "1h/BTC/LSTM/deep/er").mkdir(parents=True)
    with listening(root) as ear:
        coverage = ear.watch.coverage()
        assert coverage.watched == sum(1 for _ in os.walk(root)) - 2  # .watcherd and its trash
        assert (coverage.refused, coverage.unreadable, coverage.overflows) == (0, 0, 0)
        assert coverage.alive


# -- in a process of its own -----------------------------------------------------------------------


class Child:
    """A process that watches a root and tells, a JSON object a line, what it puts and how it is."""

    def __init__(self, root: Path, *options: str, within: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*within, sys.executable, __file__, str(root), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(watcherd.__file__).parents[1])},
        )
        self.at_start: list[dict[str, Any]] = []
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._told.put(json.loads(line))

    def until(self, **what: object) -> list[dict[str, Any]]:
        """All that it tells until it tells this."""
        told = [self._told.get(timeout=PATIENCE)]
        while not told[-1].items() >= what.items():
            told.append(self._told.get(timeout=PATIENCE))
        return told

    def ask(self, verb: str) -> dict[str, Any]:
        """Have it do something, and tell how it is then."""
        return self.tell(verb)[-1]

    def tell(self, verb: str) -> list[dict[str, Any]]:
        """Have it do something; return what it tells meanwhile, and how it is then."""
        assert self.process.stdin
        self.process.stdin.write(verb + "\n")
        self.process.stdin.flush()
        return self.until(answer=verb)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While it can read no events."""
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)
        yield
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> str:
        """End it and return what it had to say on stderr."""
        assert self.process.stdin
        assert self.process.stderr
        self.process.stdin.close()
        said = self.process.stderr.read()
        self.process.wait(PATIENCE)
        self._listener.join()
        return said


@contextmanager
def child(root: Path, *options: str, within: tuple[str, ...] = ()) -> Iterator[Child]:
    child = Child(root, *options, within=within)
    try:
        child.at_start = child.until(answer="start")
        yield child
    finally:
        assert child.end() == ""


def run_child(root: str, *options: str) -> None:
    """The child's side."""
    for option in options:
        obey(option, root)
    ear = Ear(
        Path("." if "be nobody" in options else root),
        put=lambda request: tell(
            trees=sorted(request.scope.trees),
            folders=sorted(request.scope.folders),
            cause=request.cause,
        ),
        on_trouble=lambda trouble: tell(trouble=trouble),
    )
    ear.watch.start()
    answer(ear.watch, "start")
    for line in sys.stdin:
        if line.strip() == "heal":
            ear.watch.heal()
        else:
            obey(line.strip(), root)
        answer(ear.watch, line.strip())


def obey(verb: str, root: str) -> None:
    match verb.split():
        case ["limit", number]:
            Path("/proc/sys/user/max_inotify_watches").write_text(number)
        case ["mount"]:
            subprocess.run(["mount", "-t", "tmpfs", "none", root], check=True)
        case ["umount"]:
            subprocess.run(["umount", root], check=True)
        case ["be", "nobody"]:
            os.chdir(root)
            if os.geteuid() == 0:  # whom no mode of a folder stops
                os.setgid(65534)
                os.setuid(65534)


def answer(watch: Watch, verb: str) -> None:
    tell(answer=verb, healthy=watch.is_healthy(), in_use=in_use(), **asdict(watch.coverage()))


def tell(**what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


OWN_USERS = ("unshare", "-Ur")
OWN_MOUNTS = ("unshare", "-Urm")


def can(*command: str) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


needs_own_limit = pytest.mark.skipif(
    not can(*OWN_USERS, "sh", "-c", "echo 20 > /proc/sys/user/max_inotify_watches"),
    reason="no user namespaces here",
)
needs_own_mounts = pytest.mark.skipif(
    not can(*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"),
    reason="no mount namespaces here",
)

QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@pytest.mark.skipif(QUEUE > 20_000, reason="the kernel's queue is too long to fill in a test")
def test_an_overflow_asks_for_the_root_and_leaves_every_folder_watched() -> None:
    """With more folders than the queue holds: to watch them anew must not overflow it again."""
    with tempfile.TemporaryDirectory(dir=QUICK) as place:
        root, outside = Path(place, "root"), Path(place, "out")
        outside.mkdir()
        for number in range(QUEUE + 500):
            (root / f"{number // 1000}/{number}").mkdir(parents=True)
        with child(root) as watching:
            with watching.stopped():
                for _ in range(QUEUE // 2 + 100):  # two in turn, as repeats would count once
                    write(root / "0/0/new.h5")
                    write(root / "0/1/new.h5")
                (root / "unseen/LSTM").mkdir(parents=True)
                (root / "2").rename(outside / "2")
            watching.until(trees=[""], folders=[], cause=Cause.OVERFLOW)
            watching.until(trouble=Trouble.OVERFLOW)
            write(root / "unseen/LSTM/new.h5")
            watching.until(folders=["unseen/LSTM"])
            write(root / "1/1500/new.h5")
            watching.until(folders=["1/1500"])
            state = watching.ask("tell")
            assert (state["overflows"], state["healthy"]) == (1, True)
            assert state["watched"] == state["in_use"][1] == sum(1 for _ in os.walk(root))


@needs_own_limit
def test_a_limit_of_watches_is_told_once_and_healed(root: Path) -> None:
    for number in range(41):
        (root / f"{number:02}").mkdir()
    with child(root, "limit 20", within=OWN_USERS) as watching:
        trouble, state = watching.at_start
        assert trouble == {"trouble": Trouble.LIMIT}
        assert (state["watched"], state["refused"], state["healthy"]) == (20, 41 + 7 - 20, True)
        (root / "new").mkdir()
        assert len(watching.until(trees=["new"])) == 1
        assert watching.ask("heal")["refused"] == 29

        assert watching.ask("limit 100")["refused"] == 29
        asked_for, state = watching.tell("heal")
        assert (state["watched"], state["refused"]) == (49, 0)
        scope = tree(*asked_for["trees"])
        assert sum(scope.covers(folder) for folder in listed(root)) == 29
        for number in range(41):
            write(root / f"{number:02}" / "new.h5")
            watching.until(folders=[f"{number:02}"])

        watching.ask("limit 20")
        (root / "newer").mkdir()
        watching.until(trouble=Trouble.LIMIT)


def test_a_folder_that_could_not_be_read_is_watched_when_it_can(root: Path) -> None:
    (root / "1h/BTC").chmod(0)
    with child(root, "be nobody") as watching:
        state = watching.ask("heal")
        assert (state["watched"], state["unreadable"], state["refused"]) == (5, 1, 0)
        (root / "1h/BTC").chmod(0o755)
        asked_for, state = watching.tell("heal")
        assert (state["watched"], state["unreadable"]) == (7, 0)
        assert asked_for["trees"] == ["1h/BTC"]
        write(root / LSTM / "new.h5")
        watching.until(folders=[LSTM])


@needs_own_mounts
def test_a_root_that_was_mounted_over_is_not_healthy_until_it_is_back(root: Path) -> None:
    with child(root, within=OWN_MOUNTS) as watching:
        assert not watching.ask("mount")["healthy"]
        assert watching.ask("umount")["healthy"]


@needs_own_mounts
def test_a_root_that_is_unmounted_is_a_lost_watch(root: Path) -> None:
    with child(root, "mount", within=OWN_MOUNTS) as watching:
        if {"trouble": Trouble.LOST} not in watching.tell("umount"):
            watching.until(trouble=Trouble.LOST)
        state = watching.ask("tell")
        assert (state["alive"], state["reason"]) == (
            False,
            "the models root was removed or unmounted",
        )


def test_a_thousand_folders_made_at_once_leave_stderr_clean(root: Path) -> None:
    with child(root) as watching:  # which asserts it in the end
        for number in range(1221):
            (root / f"{number % 11}/{number % 37}/{number}").mkdir(parents=True)
        (root / "mark").mkdir()
        watching.until(trees=["mark"])
        assert watching.ask("tell")["watched"] == sum(1 for _ in os.walk(root)) - 2


if __name__ == "__main__":
    run_child(*sys.argv[1:])
