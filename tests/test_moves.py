"""Moves, with the daemon up and down: each model keeps its row, is told of once, and leaves no
ghost. All are made at once, each in an interval of its own, as the daemon mostly waits."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import RunningDaemon, Saved, on_disk, rows, watcherd
from tests.namespace import has_namespaces, namespace
from tests.truth import truth

Start = Callable[..., RunningDaemon]

SETTINGS = """
[models]
layout = ["{interval}/{ticker}/{type}"]
[watch]
settle = "300ms"
[schedule]
reconcile = "off"
"""
FAR = "far"
"""A folder below the root that is another file system."""


class Ground(NamedTuple):
    """Where a move takes place: its own folder of the root, one outside, the other file system."""

    here: Path
    out: Path
    far: Path


class Move(NamedTuple):
    """What is there, what is done, and what becomes of each model (path below -> path below)."""

    before: dict[str, str]
    """Path -> ``h5`` or ``checkpoint``."""
    act: Callable[[Ground], None]
    moved: dict[str, str]
    """Of those that move: where from -> where to, below the ground or, with ``far/``, there."""
    missing: frozenset[str] = frozenset()
    registered: frozenset[str] = frozenset()


def move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


def move_checkpoint(source: Path, target: Path) -> None:
    for file in sorted(source.parent.glob(f"{source.name}.*")):
        move(file, target.with_name(file.name.replace(source.name, target.name)))


def swap(ground: Ground) -> None:
    move(ground.here / "A/LSTM/a.h5", ground.here / "A/LSTM/aside.tmp")
    move(ground.here / "A/LSTM/b.h5", ground.here / "A/LSTM/a.h5")
    move(ground.here / "A/LSTM/aside.tmp", ground.here / "A/LSTM/b.h5")


def rename_and_make_anew(ground: Ground) -> None:
    path = ground.here / "A/LSTM/a.h5"
    content = (ground.out / "spare.h5").read_bytes()
    move(path, ground.here / "A/LSTM/old.h5")
    path.write_bytes(content)


MOVES = {
    "a file": Move(
        {"A/LSTM/a.h5": "h5"},
        lambda g: move(g.here / "A/LSTM/a.h5", g.here / "B/GRU/b.h5"),
        {"A/LSTM/a.h5": "B/GRU/b.h5"},
    ),
    "a checkpoint": Move(
        {"A/LSTM/cp-1": "checkpoint"},
        lambda g: move_checkpoint(g.here / "A/LSTM/cp-1", g.here / "B/LSTM/cp-7"),
        {"A/LSTM/cp-1": "B/LSTM/cp-7"},
    ),
    "a ticker folder": Move(
        {"A/LSTM/a.h5": "h5", "A/LSTM/cp-1": "checkpoint"},
        lambda g: move(g.here / "A", g.here / "B"),
        {"A/LSTM/a.h5": "B/LSTM/a.h5", "A/LSTM/cp-1": "B/LSTM/cp-1"},
    ),
    "an interval folder": Move(
        {"A/LSTM/a.h5": "h5", "B/LSTM/cp-1": "checkpoint"},
        lambda g: move(g.here, g.here.with_name("9" + g.here.name)),
        {"A/LSTM/a.h5": "../9{}/A/LSTM/a.h5", "B/LSTM/cp-1": "../9{}/B/LSTM/cp-1"},
    ),
    "a file out": Move(
        {"A/LSTM/a.h5": "h5", "A/LSTM/b.h5": "h5"},
        lambda g: move(g.here / "A/LSTM/a.h5", g.out / "a.h5"),
        {},
        missing=frozenset({"A/LSTM/a.h5"}),
    ),
    "a folder out": Move(
        {"A/LSTM/a.h5": "h5", "B/LSTM/b.h5": "h5"},
        lambda g: move(g.here / "A", g.out / "A"),
        {},
        missing=frozenset({"A/LSTM/a.h5"}),
    ),
    "a file in": Move(
        {"B/LSTM/b.h5": "h5"},
        lambda g: move(g.out / "spare.h5", g.here / "A/LSTM/a.h5"),
        {},
        registered=frozenset({"A/LSTM/a.h5"}),
    ),
    "two swap their names": Move(
        {"A/LSTM/a.h5": "h5", "A/LSTM/b.h5": "h5"},
        swap,
        {"A/LSTM/a.h5": "A/LSTM/b.h5", "A/LSTM/b.h5": "A/LSTM/a.h5"},
    ),
    "a file is renamed and made anew": Move(
        {"A/LSTM/a.h5": "h5"},
        rename_and_make_anew,
        {"A/LSTM/a.h5": "A/LSTM/old.h5"},
        registered=frozenset({"A/LSTM/a.h5"}),
    ),
    "a file to another file system": Move(
        {"A/LSTM/a.h5": "h5"},
        lambda g: move(g.here / "A/LSTM/a.h5", g.far / "A/LSTM/a.h5"),
        {"A/LSTM/a.h5": "far/A/LSTM/a.h5"},
    ),
    "a checkpoint to another file system": Move(
        {"A/LSTM/cp-1": "checkpoint"},
        lambda g: move_checkpoint(g.here / "A/LSTM/cp-1", g.far / "B/LSTM/cp-1"),
        {"A/LSTM/cp-1": "far/B/LSTM/cp-1"},
    ),
}


class Grounds:
    """A ground for each move, in one root."""

    def __init__(self, root: Path, tmp_path: Path, saved: Saved) -> None:
        self.root = root
        self._names = {name: f"{number + 1}h" for number, name in enumerate(MOVES)}
        self._saved = saved
        self._out = tmp_path / "out"
        self._made = 0

    def of(self, name: str) -> Ground:
        interval = self._names[name]
        return Ground(self.root / interval, self._out / interval, self.root / FAR / interval)

    def make(self) -> None:
        """Every model with a content of its own: a move is known by it, too."""
        for name, move_ in MOVES.items():
            ground = self.of(name)
            ground.out.mkdir(parents=True)
            ground.far.mkdir(parents=True, exist_ok=True)
            self._write(ground.out / "spare.h5", "h5")
            for path, form in move_.before.items():
                self._write(ground.here / path, form)

    def _write(self, path: Path, form: str) -> None:
        self._made += 1
        if form == "h5":
            self._saved.write_h5(path)
            # The last bytes are weights: the file stays what it is, and differs from all others.
            with path.open("r+b") as file:
                file.seek(-64, 2)
                file.write(self._made.to_bytes(4, "little"))
        else:
            self._saved.write_checkpoint(path, self._made % len(self._saved.checkpoints))

    def path(self, name: str, below: str) -> str:
        """A path of a move, below the root."""
        interval = self._names[name]
        if below.startswith("../"):
            return below.removeprefix("../").format(interval)
        if below.startswith("far/"):
            return f"{FAR}/{interval}/{below.removeprefix('far/')}"
        return f"{interval}/{below}"


def models(root: Path) -> dict[str, dict[str, Any]]:
    """Path -> row of every model, whatever its state."""
    return {row["path"]: row for row in rows(root)}


@pytest.fixture
def grounds(tmp_path: Path, root: Path, saved: Saved) -> Grounds:
    return Grounds(root, tmp_path, saved)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.skipif(not has_namespaces(), reason="no mount namespaces here")
@pytest.mark.parametrize(
    "is_up", [pytest.param(True, id="up"), pytest.param(False, id="down", marks=pytest.mark.long)]
)
def test_what_moves_keeps_its_row_and_is_told_of_once(
    grounds: Grounds, start_daemon: Start, tmp_path: Path, stack: ExitStack, is_up: bool
) -> None:
    root = grounds.root
    within = stack.enter_context(namespace())
    (root / FAR).mkdir()
    within.run("mount", "-t", "tmpfs", "none", root / FAR)
    seen = Grounds(within.seen(root), tmp_path, grounds._saved)
    seen.make()
    daemon = start_daemon(root, settings=SETTINGS, within=within.enter)
    settle(within, root)
    before = models(root)
    if not is_up:
        daemon.stop()
    for name, one in MOVES.items():
        one.act(seen.of(name))
    if not is_up:
        daemon = start_daemon(root, settings=SETTINGS, within=within.enter)
    settle(within, root)
    after = models(root)
    moved, missing, registered = expected(grounds)
    assert {p: after[p]["model_id"] for p in moved.values()} == {
        new: before[old]["model_id"] for old, new in moved.items()
    }
    assert {p for p, row in after.items() if row["state"] != "present"} == missing
    assert after.keys() - before.keys() - set(moved.values()) == registered - before.keys()
    assert on_disk(root) == truth(seen.root)
    history = rows(root, "SELECT verb, path, from_path FROM history ORDER BY history_id")
    told = [tuple(line.values()) for line in history[len(before) :]]
    assert sorted(told, key=str) == sorted(
        [
            *(("moved", new, old) for old, new in moved.items()),
            *(("missing", path, None) for path in missing),
            *(("registered", path, None) for path in registered),
        ],
        key=str,
    )


def settle(within: Any, root: Path) -> None:
    """Wait until the registry equals the disk, as it is seen from within."""
    watcherd(root, "status", "--wait", "30", within=within.enter)


def expected(grounds: Grounds) -> tuple[dict[str, str], set[str], set[str]]:
    """What moves (from -> to), what goes, and what is new, of all moves."""
    moved, missing, registered = {}, set(), set()
    for name, one in MOVES.items():
        moved |= {grounds.path(name, a): grounds.path(name, b) for a, b in one.moved.items()}
        missing |= {grounds.path(name, path) for path in one.missing}
        registered |= {grounds.path(name, path) for path in one.registered}
    return moved, missing, registered
