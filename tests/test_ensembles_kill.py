"""kill -9 after every call that changes the disk: of ``ensemble add``, ``rm`` and ``restore``.

Afterwards, by the ordinary cycle, the registry equals the disk, a copy is whole or not there, the
model is what it was byte by byte, and the trash holds nothing that the registry does not know.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Saved, on_disk, rows
from tests.inline import reconcile, reconciler_of
from tests.test_ensembles import (
    ADA,
    AVERAGE,
    LSTM,
    RM,
    assert_books_agree,
    copies,
    files_below,
    intents,
    leftovers,
)
from tests.test_pruner_kill import CHANGING
from tests.test_trash import hooked
from watcherd import ensembling, removal
from watcherd.reconciler import Reconciler

KINDS = ("ensemble_average", "ensemble_vote")


def add(reconciler: Reconciler) -> None:
    ensembling.add(reconciler, [1], KINDS[0], ADA)


def rm(reconciler: Reconciler) -> None:
    removal.remove(reconciler, [1], RM)


def restore(reconciler: Reconciler) -> None:
    removal.restore(reconciler, [1], ADA)


VERBS: dict[str, Callable[[Reconciler], None]] = {"add": add, "rm": rm, "restore": restore}


@dataclass(frozen=True)
class Case:
    """A verb upon a model of some kind, on a root of its own."""

    verb: str
    name: str
    """Of the model's file, or of a checkpoint."""

    def make(self, root: Path, saved: Saved) -> dict[str, bytes]:
        """The model alone, or with two copies, which may be in the trash; its content."""
        path = root / LSTM / self.name
        if self.name.endswith(".h5"):
            saved.write_h5(path)
        else:
            saved.write_checkpoint(path)
            path.with_name(f"{self.name}.meta").write_bytes(b"a graph, as Saver leaves it")
        before = files_below(path.parent)
        with reconciler_of(root) as reconciler:
            reconcile(reconciler)
            if self.verb != "add":
                for kind in KINDS:
                    assert ensembling.add(reconciler, [1], kind, ADA).done
            if self.verb == "restore":
                assert len(removal.remove(reconciler, [1], RM).done) == 3
        return before

    def check(self, root: Path, before: dict[str, bytes]) -> None:
        """Repaired by the ordinary cycle, and then the verb can be done again."""
        with reconciler_of(root) as reconciler:
            reconcile(reconciler)
            assert reconcile(reconciler).plan.changes == ()
            assert_right(root, before)
            VERBS[self.verb](reconciler)
            reconcile(reconciler)
            assert_right(root, before)
            path = f"{LSTM}/{self.name}"
            made = {f"1h/BTC/{kind}/{self.name}": (path, 1) for kind in KINDS}
            if self.verb == "add":
                made = {f"{AVERAGE}/{self.name}": (path, 1)}
            assert copies(root) == ({} if self.verb == "rm" else made)


CASES = [
    Case("add", "a.h5"),
    Case("add", "ckpt-1"),
    Case("rm", "ckpt-1"),
    Case("restore", "ckpt-1"),
]


def assert_right(root: Path, before: dict[str, bytes]) -> None:
    """Registry = disk; every copy and the model are whole, wherever they are."""
    places = {str(file.parent.relative_to(root)) for file in root.glob("1h/**/*") if file.is_file()}
    for place in places:
        assert files_below(root / place) == before, place
    assert {path.rpartition("/")[0]: state for path, state in on_disk(root).items()} == (
        dict.fromkeys(places, "present")
    )
    for row in rows(root, "SELECT * FROM trash"):
        assert files_below(root / row["trash_path"]).items() >= before.items()
    assert places or rows(root, "SELECT * FROM trash")
    assert_books_agree(root)
    assert not leftovers(root)
    assert not intents(root)


class Killed(BaseException):
    """As kill -9: nobody tidies up, and nothing changes the disk any more."""


def broken_off(root: Path, case: Case, last: int) -> bool:
    """Whether it was still under way after so many calls."""

    def hook(_name: str, n: int, done: bool) -> None:
        if n > last:
            raise Killed

    try:
        with reconciler_of(root) as reconciler, hooked(hook):
            VERBS[case.verb](reconciler)
    except Killed:
        return True
    return False


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(
    "every", [29, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_broken_off_after_any_call_of_ours_it_is_repaired(
    tmp_path: Path, saved: Saved, case: Case, every: int
) -> None:
    last, is_broken_off = 1, True
    while is_broken_off:
        root = tmp_path / f"models{last}"
        before = case.make(root, saved)
        is_broken_off = broken_off(root, case, last)
        case.check(root, before)
        last += every
    assert last > 10


PROGRAM = """
import sys
from pathlib import Path
from tests.inline import reconciler_of
from tests.test_ensembles_kill import VERBS
with reconciler_of(Path(sys.argv[2])) as reconciler:
    VERBS[sys.argv[1]](reconciler)
"""


def run(root: Path, case: Case, *strace: str) -> int:
    """The same in a process of its own, under strace; its status."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    program = [sys.executable, "-B", "-c", PROGRAM, case.verb, str(root)]
    words = ["strace", "-f", "-qq", *strace, *program]
    return subprocess.run(words, env=env, capture_output=True, check=False).returncode


def changing_calls(root: Path, case: Case, log: Path) -> list[tuple[str, int]]:
    """Each system call that changes something below the root: its name, and the how manieth."""
    trace = f"{CHANGING},copy_file_range,fsync"
    # --seccomp-bpf is quicker, but knows no injection.
    assert run(root, case, "--seccomp-bpf", "-y", "-o", str(log), "-e", f"trace={trace}") == 0
    seen: dict[str, int] = {}
    found = []
    for line in log.read_text().splitlines():
        name = line.lstrip("0123456789 ").partition("(")[0]
        seen[name] = seen.get(name, 0) + 1
        is_ours = f"{root}/" in line and (name != "openat" or "O_CREAT" in line)
        if is_ours and " = -1 " not in line:
            found.append((name, seen[name]))
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here to kill with")
@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kill_9_at_any_system_call_is_repaired(tmp_path: Path, saved: Saved, case: Case) -> None:
    """Those of SQLite, too. The signal comes as the call is entered: after the one before it."""
    case.make(tmp_path / "traced", saved)
    calls = changing_calls(tmp_path / "traced", case, tmp_path / "log")
    assert len(calls) > 30
    kills = 0
    for n, (name, nth) in enumerate(calls):
        root = tmp_path / f"kill{n:04}"
        before = case.make(root, saved)
        inject = f"inject={name}:signal=KILL:when={nth}"
        kills += run(root, case, "-e", f"trace={name}", "-e", inject) != 0
        case.check(root, before)
        shutil.rmtree(root)
    assert kills > 0.9 * len(calls), "but for calls that are made in other numbers each time"


@pytest.mark.parametrize("case", CASES[1:2], ids=str)
def test_a_real_kill_in_the_middle_is_repaired(tmp_path: Path, saved: Saved, case: Case) -> None:
    """The kernel lets go of our folder: who comes next knows that its maker is gone."""
    root = tmp_path / "models"
    before = case.make(root, saved)
    child = os.fork()
    if child == 0:

        def hook(name: str, n: int, done: bool) -> None:
            if name == "copy" and done:
                os.kill(os.getpid(), signal.SIGKILL)

        with reconciler_of(root) as reconciler, hooked(hook):
            VERBS[case.verb](reconciler)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len(intents(root)) == 1
    case.check(root, before)
