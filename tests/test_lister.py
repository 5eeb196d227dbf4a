"""Half of a large tree is listed by a second process, and nobody could tell from the result."""

import errno
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from watcherd import lister, listing
from watcherd.lister import BATCH, MANY, Lister
from watcherd.listing import Found

FOLDERS = 2 * MANY


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    for number in range(FOLDERS):
        folder = root / f"T{number:03d}"
        folder.mkdir()
        (folder / "m.h5").write_bytes(b"%d" % number)
    descriptor = os.open(root, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def walked(root_fd: int, known: dict[str, bytes | None] | None = None) -> dict[str, object]:
    """Every folder with its listing, or the errno why there is none."""
    return {path: _plain(found) for path, found in _walk(root_fd, known or {})}


def _walk(root_fd: int, known: dict[str, bytes | None]) -> Iterator[tuple[str, Found | OSError]]:
    with Lister(root_fd, known) as lister:
        lister.put([""])
        for folder, found in lister:
            if not folder and not isinstance(found, OSError):
                lister.put(found[1])
            yield folder, found


def _plain(found: Found | OSError) -> object:
    return found.errno if isinstance(found, OSError) else found


def alone(root_fd: int) -> dict[str, object]:
    return {
        path: listing.look_at(root_fd, (path, None))
        for path in ["", *(f"T{number:03d}" for number in range(FOLDERS))]
    }


def beside(root_fd: int) -> list[int]:
    """Our children that were given this root."""
    found = []
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if listing.__file__.encode() in words and str(root_fd).encode() in words:
                found.append(pid)
    return found


def test_two_processes_list_what_one_lists(root_fd: int) -> None:
    helped = 0
    seen = {}
    for path, found in _walk(root_fd, {}):
        helped = max(helped, len(beside(root_fd)))
        seen[path] = found
    assert helped == 1
    assert seen == alone(root_fd)
    assert beside(root_fd) == []


def test_an_answer_is_as_old_as_its_question_though_the_next_one_is_asked(
    root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcherd.lister.MANY", BATCH)
    with Lister(root_fd, {}) as lister:
        lister.put([""])
        ages = []
        for folder, found in lister:
            if not folder and not isinstance(found, OSError):
                lister.put(found[1])
            if lister._answers and lister._asked:
                ages.append((lister.since, lister._asked_at))
            if lister._asked:
                select.select([lister._output], [], [], 10)
    assert ages, "the other process lists on while its answers are looked at"
    assert all(since < asked_at for since, asked_at in ages)


def test_a_few_folders_are_not_worth_a_process(root: Path) -> None:
    for number in range(MANY - 1):
        (root / f"T{number:03d}").mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    try:
        for _ in _walk(descriptor, {}):
            assert beside(descriptor) == []
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_when_the_second_process_is_lost_or_stopped_nothing_is_missing(
    number: signal.Signals, root_fd: int
) -> None:
    """A stopped one goes on when it is told to; until then only its own fifty folders wait."""
    seen: dict[str, object] = {}
    hurt: list[int] = []
    for path, found in _walk(root_fd, {}):
        seen[path] = _plain(found)
        if not hurt and (hurt := beside(root_fd)):
            os.kill(hurt[0], number)
        if len(seen) > FOLDERS - BATCH and number is signal.SIGSTOP and hurt:
            os.kill(hurt[0], signal.SIGCONT)
    assert hurt
    assert seen == alone(root_fd)


def test_where_no_process_can_be_started_this_one_lists_all(
    root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lister.sys, "executable", "/nowhere/python")
    assert walked(root_fd) == alone(root_fd)


def test_it_ends_with_the_look_even_where_that_is_broken_off(root_fd: int) -> None:
    looks = _walk(root_fd, {})
    while not beside(root_fd):
        next(looks)
    (pid,) = beside(root_fd)
    looks.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5)


@pytest.mark.parametrize("place", ["T000", f"T{FOLDERS - 1:03d}"])
def test_why_a_folder_cannot_be_listed_is_told_whoever_looks(
    place: str, root: Path, root_fd: int
) -> None:
    """The first of the names are the second process's, the last are ours."""
    names = sorted(path.name for path in root.iterdir())
    (root / place / "m.h5").unlink()
    (root / place).rmdir()
    (root / place).symlink_to(root)
    with Lister(root_fd, {}) as lister:
        lister.put(names)
        told = {path: _plain(found) for path, found in lister}
    assert told[place] == errno.ELOOP
    assert len(told) == FOLDERS


def test_of_known_listings_only_symlinks_come_and_of_others_all(root: Path, root_fd: int) -> None:
    (root / "T002/link").symlink_to("m.h5")
    before = walked(root_fd)
    known = {path: found[3] for path, found in before.items() if isinstance(found, tuple)}
    (root / "T001/new.h5").write_bytes(b"")
    (root / f"T{FOLDERS - 2:03d}/new.h5").write_bytes(b"")
    after = walked(root_fd, known)
    told = {
        p: [row[0] for row in found[2]] for p, found in after.items() if isinstance(found, tuple)
    }
    named = {path: names for path, names in told.items() if names}
    both = ["m.h5", "new.h5"]
    assert named == {"T001": both, "T002": ["link"], f"T{FOLDERS - 2:03d}": both}


def test_names_of_any_bytes_pass_between_the_processes(root: Path, root_fd: int) -> None:
    for number in (0, FOLDERS - 1):
        os.rename(
            os.fsencode(root / f"T{number:03d}/m.h5"),
            os.fsencode(root / f"T{number:03d}/") + b"\xff\n.h5",
        )
    seen = walked(root_fd)
    assert seen == alone(root_fd)


def test_the_second_process_imports_next_to_nothing(root_fd: int) -> None:
    """It is started for every look at a large tree, beside training jobs."""
    looks = _walk(root_fd, {})
    while not beside(root_fd):
        next(looks)
    (pid,) = beside(root_fd)
    next(looks)
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    looks.close()
    assert resident < 20_000_000


def test_a_file_that_speaks_otherwise_is_not_asked_twice(
    root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package was upgraded under a daemon that goes on."""
    monkeypatch.setattr(lister, "PROTOCOL", "1")
    assert walked(root_fd) == alone(root_fd)
    assert beside(root_fd) == []
