"""Who has a file open or locks it is seen from outside, without touching the file."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from watcherd.artifact import FileFact, Part, Role, fact_from
from watcherd.openers import Place, find_openers, read_locks

HOLD = """
import fcntl, sys
file = open(sys.argv[2], "r+b")
if sys.argv[1] == "flock":
    fcntl.flock(file, fcntl.LOCK_EX)
if sys.argv[1] == "lockf":
    fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""

Holder = Callable[[str, Path], int]


@pytest.fixture
def hold() -> Iterator[Holder]:
    """Starts processes that hold a file in a way, until the test is over."""
    holders = []

    def start(way: str, path: Path) -> int:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, way, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return holder.pid

    yield start
    for holder in holders:
        holder.communicate("")


def part(path: Path) -> Part:
    return Part(Role.H5, f"1h/BTC/LSTM/{path.name}", fact_from(os.lstat(path)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.h5"
    path.write_bytes(b"model")
    return path


def test_a_file_that_nobody_holds_has_no_opener(model: Path) -> None:
    assert find_openers([part(model)]) == {}


def test_an_open_file_is_told_with_its_process(model: Path, hold: Holder) -> None:
    pid = hold("open", model)
    (said,) = find_openers([part(model)]).values()
    assert said.startswith(f"open in process {pid} (python")


@pytest.mark.parametrize("way", ["flock", "lockf"])
def test_a_lock_is_read_from_the_kernels_list(model: Path, hold: Holder, way: str) -> None:
    pid = hold(way, model)
    found = os.lstat(model)
    locks = {place.inode: owner for place, owner in read_locks().items()}
    assert locks[found.st_ino] == pid


def test_a_lock_counts_where_descriptors_may_not_be_seen(
    model: Path, hold: Holder, tmp_path: Path
) -> None:
    """As for another user's process: of its folder in /proc only the name is there."""
    pid = hold("flock", model)
    proc = tmp_path / "proc"
    (proc / str(pid)).mkdir(parents=True)
    (proc / "locks").write_bytes(Path("/proc/locks").read_bytes())
    assert find_openers([part(model)], proc) == {"1h/BTC/LSTM/m.h5": f"locked by process {pid}"}


def test_our_own_process_is_no_other(model: Path) -> None:
    with model.open("rb"):
        assert find_openers([part(model)]) == {}


def test_a_file_that_was_replaced_is_not_the_one_that_is_open(model: Path, hold: Holder) -> None:
    hold("open", model)
    fresh = model.with_suffix(".new")
    fresh.write_bytes(b"another")
    fresh.replace(model)
    assert find_openers([part(model)]) == {}


def test_another_file_of_that_name_is_another_file(
    model: Path, hold: Holder, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / model.name
    other.parent.mkdir()
    other.write_bytes(b"another")
    hold("open", other)
    assert find_openers([part(model)]) == {}


LINES = """1: POSIX  ADVISORY  WRITE 708 08:02:1234 0 EOF
2: FLOCK  ADVISORY  READ  -1 fd:1f:99 0 EOF
2: -> FLOCK  ADVISORY  WRITE 709 08:02:55 0 EOF
3: OFDLCK ADVISORY  READ  -1 00:06:6 0 EOF
nonsense
"""


def test_every_kind_of_lock_is_read_and_no_one_who_waits(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text(LINES)
    assert read_locks(tmp_path) == {
        Place(os.makedev(8, 2), 1234): 708,
        Place(os.makedev(0xFD, 0x1F), 99): -1,
        Place(os.makedev(0, 6), 6): -1,
    }


@pytest.mark.parametrize(
    ("seen", "is_it"), [((8, 2), True), ((8, 3), False), ((0, 40), False)], ids=str
)
def test_a_lock_on_the_same_inode_of_another_disk_is_another_files(
    tmp_path: Path, seen: tuple[int, int], is_it: bool
) -> None:
    (tmp_path / "locks").write_text(LINES)
    fact = FileFact(1, 1, 1, 1234, os.makedev(*seen))
    assert bool(find_openers([Part(Role.H5, "m.h5", fact)], tmp_path)) is is_it


def test_btrfs_shows_one_device_by_lstat_and_another_in_the_list(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text(LINES)
    fact = FileFact(1, 1, 1, 6, os.makedev(0, 40))
    assert find_openers([Part(Role.H5, "m.h5", fact)], tmp_path) == {
        "m.h5": "locked by a process elsewhere"
    }


def test_a_hidden_proc_tells_nothing(model: Path, tmp_path: Path) -> None:
    assert find_openers([part(model)], tmp_path / "none") == {}


def test_ten_thousand_files_cost_one_pass(model: Path) -> None:
    many = [part(model)._replace(path=f"{n}.h5") for n in range(10_000)]
    facts = [one._replace(fact=one.fact._replace(inode=n)) for n, one in enumerate(many)]
    started = time.process_time()
    find_openers(facts[:1])
    one = time.process_time() - started
    started = time.process_time()
    find_openers(facts)
    assert time.process_time() - started < 10 * one + 0.5
