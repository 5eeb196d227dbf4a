"""The trash: an artifact leaves whole, returns whole, and is whole or none at every instant."""

import ast
import ctypes
import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import watcherd.trash
from watcherd.artifact import FileFact, Part, Role
from watcherd.errors import TrashError
from watcherd.trash import (
    Entry,
    Held,
    bring_back,
    calls,
    holds,
    list_trash,
    move_out,
    purge,
    sync_folders,
    trash_path_for,
)

FOLDER = "1h/BTC/LSTM"
PREFIX = f"{FOLDER}/ckpt-7"
TRASH_PATH = trash_path_for(7, datetime(2026, 5, 17, 9, 30, 1, 250_000, tzinfo=UTC))
MANIFEST = {"model_id": 7, "reasons": ["max_to_keep 2 of 5"]}
STEPS = sorted(set(calls.__all__) - {"take", "give"})
"""Single system calls; take and give are made of them."""
RENAME_EXCHANGE = 2
HEADS = [Role.H5, Role.KERAS, Role.SAVED_MODEL, Role.INDEX, Role.SHARD_V1]
"""What makes an artifact one, the first of them that it has: a SavedModel has an index, too."""
NOT_NEEDED = {Role.GRAPH, Role.NOTE, Role.COMPANION}
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


# --- a models root with one artifact to trash --------------------------------------------------

SAVED_MODEL = [
    (Role.SAVED_MODEL, "export/saved_model.pb"),
    (Role.KERAS_METADATA, "export/keras_metadata.pb"),
    (Role.FINGERPRINT, "export/fingerprint.pb"),
    (Role.INDEX, "export/variables/variables.index"),
    (Role.SHARD, "export/variables/variables.data-00000-of-00001"),
    (Role.ASSET, "export/assets/saved_model.pb"),
    (Role.ASSET, "export/assets.extra/saved_model.pb"),
    (Role.NOTE, "export.watcherd.json"),
    (Role.COMPANION, "scaler.pkl"),
]


class Root:
    """A models root on disk, with its descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def save(self, path: str, content: bytes = b"") -> Path:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content or f"content of {path}".encode())
        return file

    def part(self, role: Role, path: str) -> Part:
        s = os.lstat(self.path / path)
        fact = FileFact(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev)
        return Part(role, path, fact)

    def checkpoint(self, shards: int = 3, graph: bool = True) -> Entry:
        files = [(Role.SHARD, f"{PREFIX}.data-{i:05}-of-{shards:05}") for i in range(shards)]
        files += [(Role.GRAPH, f"{PREFIX}.meta")] if graph else []
        files += [(Role.INDEX, f"{PREFIX}.index")]
        for _, path in files:
            self.save(path)
        parts = tuple(self.part(role, path) for role, path in files)
        return Entry(PREFIX, TRASH_PATH, parts)

    def h5(self) -> Entry:
        path = f"{FOLDER}/lstm_a.h5"
        self.save(path)
        return Entry(path, TRASH_PATH, (self.part(Role.H5, path),))

    def keras(self) -> Entry:
        path = f"{FOLDER}/lstm.keras"
        self.save(path)
        return Entry(path, TRASH_PATH, (self.part(Role.KERAS, path),))

    def checkpoint_v1(self, shards: int = 2) -> Entry:
        """Without an index: its files are known by the graph beside them."""
        names = (
            [PREFIX] if shards == 1 else [f"{PREFIX}-{i:05}-of-{shards:05}" for i in range(shards)]
        )
        files = [(Role.SHARD_V1, name) for name in names] + [(Role.GRAPH, f"{PREFIX}.meta")]
        for _, path in files:
            self.save(path)
        return Entry(PREFIX, TRASH_PATH, tuple(self.part(role, path) for role, path in files))

    def saved_model(self) -> Entry:
        """A folder, in which names occur twice; with a note and a companion beside it."""
        for _, name in SAVED_MODEL:
            self.save(f"{FOLDER}/{name}")
        parts = tuple(self.part(role, f"{FOLDER}/{name}") for role, name in SAVED_MODEL)
        return Entry(f"{FOLDER}/export", TRASH_PATH, parts)

    def again(self, entry: Entry) -> Entry:
        """The same artifact, decided upon anew."""
        return replace(entry, parts=tuple(self.part(p.role, p.path) for p in entry.parts))

    def files(self) -> dict[str, bytes]:
        """Everything below the root: path -> content, links and folders named as such."""
        return contents(self.path)

    def in_trash(self) -> set[str]:
        folder = self.path / TRASH_PATH
        return set(os.listdir(folder)) if folder.is_dir() else set()


def contents(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.rglob("*"):
        kind = b"link" if path.is_symlink() else b"folder" if path.is_dir() else path.read_bytes()
        found[path.relative_to(folder).as_posix()] = kind
    return found


def models(files: dict[str, bytes]) -> dict[str, bytes]:
    """What is not ours, without the folders."""
    return {p: c for p, c in files.items() if not p.startswith(".watcherd") and c != b"folder"}


def models_in(files: dict[str, bytes], folder: str) -> set[str]:
    return {p for p, c in files.items() if p.startswith(f"{folder}/") and c != b"folder"}


def name_of(path: str) -> str:
    return path.rpartition("/")[2]


@contextmanager
def fresh_root() -> Iterator[Root]:
    with tempfile.TemporaryDirectory() as folder:
        root = Root(Path(folder) / "models")
        try:
            yield root
        finally:
            os.close(root.fd)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    root = Root(tmp_path / "models")
    yield root
    os.close(root.fd)


def assert_whole_in_trash(root: Root, entry: Entry, before: dict[str, bytes]) -> None:
    assert holds(root.fd, entry) is Held.WHOLE
    after = root.files()
    gone = {part.path for part in entry.parts}
    assert models(after) == {p: c for p, c in models(before).items() if p not in gone}
    for part in entry.parts:
        assert after[entry.place_of(part)] == before[part.path]
    in_trash = models_in(after, TRASH_PATH)
    assert in_trash == {entry.place_of(part) for part in entry.parts} | {
        f"{TRASH_PATH}/manifest.json"
    }
    assert not [folder for folder in entry.own_folders if (root.path / folder).exists()]


def assert_whole_in_place(root: Root, entry: Entry, before: dict[str, bytes]) -> None:
    assert holds(root.fd, entry) is Held.NOTHING
    assert models(root.files()) == models(before)
    assert not (root.path / TRASH_PATH).exists()


def assert_whole_or_none(root: Root, entry: Entry) -> None:
    """What makes it a model stands only beside all that it needs."""
    head = min(
        (part for part in entry.parts if part.role in HEADS),
        key=lambda part: (HEADS.index(part.role), part.path),
    )
    if (root.path / head.path).exists():
        needed = [part for part in entry.parts if part.role not in NOT_NEEDED]
        assert [part.path for part in needed if not (root.path / part.path).exists()] == []


# --- stopping the program between two system calls ---------------------------------------------


@contextmanager
def hooked(hook: Callable[[str, int, bool], None]) -> Iterator[None]:
    """Calls ``hook(name, n, done)`` before and after the n-th call that changes the disk."""
    count = 0

    def wrap(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            nonlocal count
            count += 1
            n = count
            hook(name, n, False)
            result = call(*args)
            hook(name, n, True)
            return result

        return counted

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(calls, name, wrap(name, getattr(calls, name)))
        yield


@contextmanager
def without_noreplace() -> Iterator[None]:
    """As on NFS: renameat2(2) answers EINVAL to RENAME_NOREPLACE, unless the name is taken."""

    def answer(source: int, name: bytes, target: int, new: bytes, flags: int) -> int:
        taken = True
        try:
            os.stat(new, dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            taken = False
        ctypes.set_errno(errno.EEXIST if taken else errno.EINVAL)
        return -1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "_renameat2", answer)
        yield


as_it_is = nullcontext

KINDS = [Root.checkpoint, Root.h5, Root.keras, Root.checkpoint_v1, Root.saved_model]


VERBS: dict[str, Callable[[Root, Entry], object]] = {
    "move_out": lambda root, entry: move_out(root.fd, entry, MANIFEST),
    "bring_back": lambda root, entry: bring_back(root.fd, entry),
    "purge": lambda root, entry: purge(root.fd, entry),
}


# --- moving out ------------------------------------------------------------------------------


def test_the_place_in_the_trash_is_named_by_utc_time_and_model() -> None:
    at = datetime(2026, 5, 17, 11, 30, 1, 250_999, tzinfo=timezone(timedelta(hours=2)))
    assert trash_path_for(42, at) == ".watcherd/trash/20260517T093001250-42"


@pytest.mark.parametrize("file_system", [as_it_is, without_noreplace])
@pytest.mark.parametrize("saved", KINDS)
def test_an_artifact_goes_to_the_trash_whole_and_returns_the_same(
    root: Root, saved: Callable[[Root], Entry], file_system: Callable[[], Any]
) -> None:
    root.save(f"{FOLDER}/checkpoint", b'model_checkpoint_path: "ckpt-8"')
    root.save(f"{FOLDER}/ckpt-77.index")
    entry = saved(root)
    before = root.files()
    facts = {part.path: part.fact._replace(ctime_ns=0) for part in entry.parts}
    with file_system():
        move_out(root.fd, entry, MANIFEST)
        assert_whole_in_trash(root, entry, before)
        bring_back(root.fd, entry)
    assert_whole_in_place(root, entry, before)
    again = {part.path: part.fact._replace(ctime_ns=0) for part in root.again(entry).parts}
    assert again == facts


def test_an_artifact_may_lie_in_the_root_itself(root: Root) -> None:
    root.save("lstm.h5")
    entry = Entry("lstm.h5", TRASH_PATH, (root.part(Role.H5, "lstm.h5"),))
    before = root.files()
    move_out(root.fd, entry, MANIFEST)
    assert_whole_in_trash(root, entry, before)
    bring_back(root.fd, entry)
    assert_whole_in_place(root, entry, before)


def test_moving_out_and_bringing_back_twice_is_the_same_as_once(root: Root) -> None:
    entry = root.checkpoint()
    before = root.files()
    move_out(root.fd, entry, MANIFEST)
    move_out(root.fd, entry, MANIFEST)
    assert_whole_in_trash(root, entry, before)
    bring_back(root.fd, entry)
    bring_back(root.fd, entry)
    assert_whole_in_place(root, entry, before)


def test_the_manifest_says_what_lies_there_before_the_first_file_does(root: Root) -> None:
    entry = root.checkpoint()
    told: list[object] = []

    def look(name: str, _n: int, done: bool) -> None:
        if name == "rename_noreplace" and not done:
            told.extend(list_trash(root.fd))

    with hooked(look):
        move_out(root.fd, entry, MANIFEST)
    (trashed,) = list_trash(root.fd)
    assert trashed.trash_path == TRASH_PATH
    assert trashed.entry == entry
    assert trashed.manifest["reasons"] == MANIFEST["reasons"]
    assert told == [trashed] * len(entry.parts)


def _grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")


def _overwrite_keeping_size_and_mtime(file: Path) -> None:
    old = file.stat()
    while file.stat().st_ctime_ns == old.st_ctime_ns:  # the kernel's clock ticks every 4 ms
        file.write_bytes(b"x" * old.st_size)
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))


def _replace_keeping_size_and_mtime(file: Path) -> None:
    old = file.stat()
    fresh = file.with_suffix(".fresh")
    fresh.write_bytes(file.read_bytes()[::-1])
    os.utime(fresh, ns=(old.st_atime_ns, old.st_mtime_ns))
    fresh.replace(file)


def _become_a_link(file: Path) -> None:
    aside = file.with_name("aside")
    file.rename(aside)
    file.symlink_to(aside)


def _become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


CHANGES = [
    _grow,
    _overwrite_keeping_size_and_mtime,
    _replace_keeping_size_and_mtime,
    _become_a_link,
    _become_a_folder,
    Path.unlink,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
@pytest.mark.parametrize("suffix", [".index", ".meta", ".data-00001-of-00003"])
def test_what_changed_since_the_decision_is_not_touched(
    root: Root, suffix: str, change: Callable[[Path], None]
) -> None:
    entry = root.checkpoint()
    change(root.path / f"{PREFIX}{suffix}")
    before = root.files()
    with pytest.raises(TrashError, match=f"ckpt-7{suffix}: (changed|is gone)") as caught:
        move_out(root.fd, entry, MANIFEST)
    assert caught.value.hint
    assert root.files() == before


def test_a_remount_that_changes_the_device_number_is_no_change(root: Root) -> None:
    entry = root.checkpoint()
    parts = tuple(p._replace(fact=p.fact._replace(device=99)) for p in entry.parts)
    before = root.files()
    entry = replace(entry, parts=parts)
    move_out(root.fd, entry, MANIFEST)
    assert_whole_in_trash(root, entry, before)


def _at_first(step: str, before: Callable[[], object], after: Callable[[], object]) -> Any:
    """A hook that does something right before, and right after, the first call of this kind."""
    waiting = {False: before, True: after}

    def hook(name: str, _n: int, done: bool) -> None:
        if name == step and done in waiting:
            waiting.pop(done)()

    return hook


@pytest.mark.parametrize("file_system", [as_it_is, without_noreplace])
@pytest.mark.parametrize(
    "change",
    [_grow, _replace_keeping_size_and_mtime, _become_a_link, _become_a_folder],
    ids=lambda change: change.__name__.strip("_"),
)
def test_what_is_replaced_at_the_last_moment_is_put_back(
    root: Root, change: Callable[[Path], None], file_system: Callable[[], Any]
) -> None:
    entry = root.h5()
    replaced: dict[str, bytes] = {}

    def replace_it() -> None:
        change(root.path / entry.path)
        replaced.update({p: c for p, c in root.files().items() if not p.startswith(".watcherd")})

    hook = _at_first("rename_noreplace", replace_it, lambda: None)
    # link(2) refuses a folder before anything has moved
    with (
        file_system(),
        hooked(hook),
        pytest.raises(TrashError, match=r"was replaced|neither rename"),
    ):
        move_out(root.fd, entry, MANIFEST)
    after = {p: c for p, c in root.files().items() if not p.startswith(".watcherd")}
    assert after == replaced
    assert not (root.path / TRASH_PATH).exists()


def test_what_replaced_a_file_and_cannot_be_put_back_is_never_purged(root: Root) -> None:
    entry = root.h5()
    file = root.path / entry.path
    hook = _at_first(
        "rename_noreplace",
        before=lambda: file.write_bytes(b"a new save"),
        after=lambda: file.write_bytes(b"a later save"),
    )
    with hooked(hook), pytest.raises(TrashError, match="could not be put back") as caught:
        move_out(root.fd, entry, MANIFEST)
    assert TRASH_PATH in caught.value.message
    assert file.read_bytes() == b"a later save"
    assert purge(root.fd, entry) == 0
    assert (root.path / TRASH_PATH / file.name).read_bytes() == b"a new save"


def test_an_index_does_not_return_to_shards_that_are_not_its_own(root: Root) -> None:
    entry = root.checkpoint()
    shard = root.path / f"{PREFIX}.data-00001-of-00003"
    takes = [0]

    def save_anew(name: str, _n: int, done: bool) -> None:
        takes[0] += name == "rename_noreplace" and not done
        if takes[0] == 4 and not done:
            shard.write_bytes(b"the trainer saves this prefix again")
        assert_whole_or_none(root, entry)

    with (
        hooked(save_anew),
        pytest.raises(TrashError, match=r"in \.watcherd/trash/.* lies: ckpt-7\.index$"),
    ):
        move_out(root.fd, entry, MANIFEST)
    assert not (root.path / f"{PREFIX}.index").exists()
    assert shard.read_bytes() == b"the trainer saves this prefix again"
    assert root.in_trash() == {"ckpt-7.index", "manifest.json"}
    assert holds(root.fd, entry) is Held.PARTLY


def test_a_checkpoint_saved_anew_after_a_crash_is_left_alone(root: Root) -> None:
    entry = root.checkpoint()
    before = root.files()
    with suppress(KeyboardInterrupt), hooked(_interrupt_at("rename_noreplace", 2)):
        move_out(root.fd, entry, MANIFEST)
    for part in entry.parts:
        root.save(part.path, b"new " + before[part.path])
    saved = models(root.files())
    with pytest.raises(TrashError, match="changed since"):
        move_out(root.fd, entry, MANIFEST)
    assert models(root.files()) == saved
    assert purge(root.fd, entry) > 0
    assert models(root.files()) == saved
    assert root.in_trash() == set()


def _interrupt_at(step: str, nth: int) -> Callable[[str, int, bool], None]:
    """Ctrl-C right after the nth call of this kind: nothing is tidied up."""
    seen = [0]

    def hook(name: str, _n: int, done: bool) -> None:
        seen[0] += name == step and done
        if seen[0] == nth:
            raise KeyboardInterrupt

    return hook


def test_a_trainer_that_deletes_the_checkpoint_meanwhile_gets_back_what_was_moved(
    root: Root,
) -> None:
    entry = root.checkpoint()
    with suppress(KeyboardInterrupt), hooked(_interrupt_at("rename_noreplace", 3)):
        move_out(root.fd, entry, MANIFEST)
    (root.path / TRASH_PATH / "ckpt-7.index").unlink()
    with pytest.raises(TrashError, match=r"ckpt-7\.index: is gone; the trainer"):
        move_out(root.fd, entry, MANIFEST)
    left = {name_of(path) for path in models(root.files())}
    assert left == {name_of(p.path) for p in entry.parts if p.role is not Role.INDEX}
    assert root.in_trash() == set()


def test_a_name_that_is_taken_in_the_trash_is_told_by_its_path_there(root: Root) -> None:
    entry = root.h5()
    taken = root.save(f"{TRASH_PATH}/lstm_a.h5", b"what nobody knows")
    with pytest.raises(TrashError, match=f"{TRASH_PATH}/lstm_a.h5: is in the way"):
        move_out(root.fd, entry, MANIFEST)
    assert taken.read_bytes() == b"what nobody knows"
    assert (root.path / entry.path).exists()


# --- the whole or nothing, at every instant ----------------------------------------------------


Failing = Callable[[int], bool]
"""Whether the n-th call that changes the disk fails."""


def _check_failures(
    root: Root, entry: Entry, verb: str, failing: Failing, code: int = errno.EIO
) -> bool:
    """At every instant it is whole or none; done again without failures, it is where it should.

    False where no call failed.
    """
    before, failed = root.files(), False
    if verb == "bring_back":
        move_out(root.fd, entry, MANIFEST)

    def fail(_name: str, n: int, done: bool) -> None:
        nonlocal failed
        assert_whole_or_none(root, entry)
        if not done and failing(n):
            failed = True
            raise OSError(code, os.strerror(code))

    with suppress(TrashError), hooked(fail):
        VERBS[verb](root, entry)
    assert_whole_or_none(root, entry)
    if verb == "bring_back":
        bring_back(root.fd, entry)
        assert_whole_in_place(root, entry, before)
    else:
        _assert_moves_out_or_stays(root, entry, before)
    return failed


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from_then_on"])
@pytest.mark.parametrize("file_system", [as_it_is, without_noreplace])
@pytest.mark.parametrize("verb", ["move_out", "bring_back"])
def test_whichever_call_fails_it_is_whole_or_none_and_can_be_done_again(
    verb: str, file_system: Callable[[], Any], lasting: bool
) -> None:
    first, failed = 0, True
    while failed:
        first += 1
        failing = range(first, 1000 if lasting else first + 1).__contains__
        with fresh_root() as root, file_system():
            failed = _check_failures(root, root.checkpoint(), verb, failing)
    assert first > 10


@pytest.mark.parametrize("saved", [Root.checkpoint_v1, Root.saved_model])
@pytest.mark.parametrize("verb", ["move_out", "bring_back"])
def test_whichever_call_fails_so_it_is_of_the_other_kinds(
    verb: str, saved: Callable[[Root], Entry]
) -> None:
    first, failed = 0, True
    while failed:
        first += 1
        with fresh_root() as root:
            failed = _check_failures(root, saved(root), verb, first.__eq__)
    assert first > 10


@pytest.mark.parametrize("saved", [Root.checkpoint_v1, Root.saved_model])
@pytest.mark.parametrize("verb", VERBS)
def test_broken_off_after_any_call_the_other_kinds_are_whole_or_none_and_completed(
    verb: str, saved: Callable[[Root], Entry]
) -> None:
    last, broken = 0, True
    while broken:
        last += 1
        with fresh_root() as root:
            entry, before = saved(root), root.files()
            if verb != "move_out":
                move_out(root.fd, entry, MANIFEST)
            broken = _break_off_after(last, partial(VERBS[verb], root, entry))
            assert_whole_or_none(root, entry)
            _assert_completed(root, verb, entry, before, noreplace=True)
    assert last > len(entry.parts)


class BrokenOff(BaseException):
    """As kill -9: nobody tidies up."""


def _break_off_after(last: int, act: Callable[[], object]) -> bool:
    """Whether it was still under way then. From then on nothing changes the disk any more."""

    def hook(_name: str, n: int, done: bool) -> None:
        if n > last:
            raise BrokenOff

    try:
        with hooked(hook):
            act()
    except BrokenOff:
        return True
    return False


def test_the_emptied_folders_of_a_saved_model_go_but_never_with_anothers_file(root: Root) -> None:
    entry = root.saved_model()
    root.save(f"{FOLDER}/export/assets/readme.txt", b"a person's")
    before = root.files()
    move_out(root.fd, entry, MANIFEST)
    left = {p for p in root.files() if p.startswith(f"{FOLDER}/export")}
    assert left == {
        f"{FOLDER}/export",
        f"{FOLDER}/export/assets",
        f"{FOLDER}/export/assets/readme.txt",
    }
    bring_back(root.fd, entry)
    assert_whole_in_place(root, entry, before)


def test_the_folder_for_assets_that_a_saved_model_has_none_of_goes_with_it(root: Root) -> None:
    for name in ("saved_model.pb", "variables/variables.index"):
        root.save(f"{FOLDER}/bare/{name}")
    (root.path / FOLDER / "bare/assets").mkdir()
    parts = (
        root.part(Role.SAVED_MODEL, f"{FOLDER}/bare/saved_model.pb"),
        root.part(Role.INDEX, f"{FOLDER}/bare/variables/variables.index"),
    )
    move_out(root.fd, Entry(f"{FOLDER}/bare", TRASH_PATH, parts), MANIFEST)
    assert not (root.path / FOLDER / "bare").exists()


def test_what_accompanies_a_model_leaves_after_it_and_returns_before_it(root: Root) -> None:
    entry = root.saved_model()
    roles = [part.role for part in entry.leaving]
    assert roles[0] is Role.SAVED_MODEL
    assert set(roles[-2:]) == {Role.NOTE, Role.COMPANION}
    assert [part.role for part in entry.returning] == roles[::-1]


def test_a_place_in_the_trash_that_holds_another_model_is_never_written_into(root: Root) -> None:
    other = root.h5()
    move_out(root.fd, other, MANIFEST)
    entry = root.checkpoint()
    before = root.files()
    with pytest.raises(TrashError, match=rf"{TRASH_PATH}, holds {other.path} already") as caught:
        move_out(root.fd, entry, MANIFEST)
    assert caught.value.hint
    assert root.files() == before
    bring_back(root.fd, other)


@settings(max_examples=150, deadline=None)
@given(
    shards=st.integers(1, 3),
    graph=st.booleans(),
    verb=st.sampled_from(["move_out", "bring_back"]),
    file_system=st.sampled_from([as_it_is, without_noreplace]),
    failing=st.sets(st.integers(1, 60), min_size=1),
    code=st.sampled_from([errno.EIO, errno.EACCES, errno.ENOSPC, errno.EXDEV, errno.EEXIST]),
)
def test_whatever_else_fails_while_it_is_put_back_the_same_holds(
    shards: int,
    graph: bool,
    verb: str,
    file_system: Callable[[], Any],
    failing: set[int],
    code: int,
) -> None:
    with fresh_root() as root, file_system():
        _check_failures(root, root.checkpoint(shards, graph), verb, failing.__contains__, code)


@pytest.mark.parametrize("first", range(1, 40))
def test_one_failure_leaves_nothing_halfway(first: int) -> None:
    with fresh_root() as root:
        entry = root.checkpoint()
        before = root.files()
        try:
            with hooked(partial(_fail_at, first)):
                move_out(root.fd, entry, MANIFEST)
        except TrashError:
            if holds(root.fd, entry) is not Held.WHOLE:
                assert models(root.files()) == models(before)
        assert holds(root.fd, entry) is not Held.PARTLY


def _fail_at(failing: int, _name: str, n: int, done: bool) -> None:
    if n == failing and not done:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _assert_moves_out_or_stays(root: Root, entry: Entry, before: dict[str, bytes]) -> None:
    """What was put back has a new ctime: decided upon anew it goes, and until then it stays."""
    try:
        move_out(root.fd, entry, MANIFEST)
    except TrashError:
        assert_whole_in_place(root, entry, before)
        entry = root.again(entry)
        move_out(root.fd, entry, MANIFEST)
    assert_whole_in_trash(root, entry, before)


KILLED = """
import errno, os, pickle, signal, sys
import ctypes
from watcherd import trash
from watcherd.trash import calls

root, verb, last, noreplace, steps, entry = pickle.load(sys.stdin.buffer)
count = 0

def wrap(call):
    def counted(*args):
        global count
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return call(*args)
    return counted

def refuse(*args):
    ctypes.set_errno(errno.EINVAL)
    return -1

if not noreplace:
    calls._renameat2 = refuse
for name in steps:
    setattr(calls, name, wrap(getattr(calls, name)))
root_fd = os.open(root, os.O_RDONLY)
if verb == "move_out":
    trash.move_out(root_fd, entry, {})
else:
    getattr(trash, verb)(root_fd, entry)
"""


def kill_after(root: Root, verb: str, last: int, entry: Entry, noreplace: bool) -> bool:
    """kill -9 between the ``last`` call that changes the disk and the next, in a real process.

    False where there was no next one.
    """
    order = pickle.dumps((str(root.path), verb, last, noreplace, STEPS, entry))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED], input=order, env=env, capture_output=True, check=False
    )
    assert done.returncode in (-signal.SIGKILL, 0), done.stderr.decode()
    return done.returncode != 0


@pytest.mark.parametrize("noreplace", [True, False], ids=["renameat2", "link_and_unlink"])
@pytest.mark.parametrize("verb", VERBS)
def test_kill_9_after_any_system_call_leaves_what_the_next_call_completes(
    verb: str, noreplace: bool
) -> None:
    last, killed = 0, True
    while killed:
        with fresh_root() as root, as_it_is() if noreplace else without_noreplace():
            entry, before = root.checkpoint(), root.files()
            if verb != "move_out":
                move_out(root.fd, entry, MANIFEST)
            killed = kill_after(root, verb, last, entry, noreplace)
            assert_whole_or_none(root, entry)
            _assert_completed(root, verb, entry, before, noreplace)
        last += 1
    assert last > len(entry.parts)


def _assert_completed(
    root: Root, verb: str, entry: Entry, before: dict[str, bytes], noreplace: bool
) -> None:
    if verb == "move_out" and not noreplace:
        _assert_moves_out_or_stays(root, entry, before)
        return
    VERBS[verb](root, entry)
    if verb == "move_out":
        assert_whole_in_trash(root, entry, before)
    elif verb == "bring_back":
        assert_whole_in_place(root, entry, before)
    else:
        assert root.in_trash() == set()
        assert models(root.files()) == {}


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_person_may_bring_back_what_a_crash_left_halfway(root: Root, nth: int) -> None:
    entry = root.checkpoint()
    before = root.files()
    with suppress(KeyboardInterrupt), hooked(_interrupt_at("rename_noreplace", nth)):
        move_out(root.fd, entry, MANIFEST)
    bring_back(root.fd, entry)
    assert_whole_in_place(root, entry, before)


def test_only_one_module_changes_the_disk_so_that_no_step_escapes_these_tests() -> None:
    changing = {"rename", "replace", "unlink", "remove", "rmdir", "mkdir", "makedirs", "link"}
    changing |= {"symlink", "chmod", "fchmod", "fchown", "chown", "write", "fsync", "truncate"}
    for file in Path(watcherd.trash.__file__).parent.glob("*.py"):
        named = {
            node.attr
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        }
        assert bool(named & changing) == (file.name == "calls.py"), file.name


# --- bringing back -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".index", ".meta", ".data-00001-of-00003"])
def test_what_stands_in_the_way_is_named_and_nothing_moves(root: Root, suffix: str) -> None:
    entry = root.checkpoint()
    move_out(root.fd, entry, MANIFEST)
    root.save(f"{PREFIX}{suffix}", b"saved by the trainer meanwhile")
    before = root.files()
    with pytest.raises(TrashError, match=f"{PREFIX}{suffix}: in the way") as caught:
        bring_back(root.fd, entry)
    assert "restore again" in caught.value.hint
    assert root.files() == before


@pytest.mark.parametrize(
    ("file_system", "step"), [(as_it_is, "rename_noreplace"), (without_noreplace, "link")]
)
def test_what_appears_in_the_way_at_the_last_moment_is_not_overwritten(
    root: Root, file_system: Callable[[], Any], step: str
) -> None:
    entry = root.checkpoint()
    before = root.files()
    move_out(root.fd, entry, MANIFEST)
    index = root.path / f"{PREFIX}.index"
    seen = [0]

    def save(name: str, _n: int, done: bool) -> None:
        seen[0] += name == step and not done
        if seen[0] == len(entry.parts):
            index.write_bytes(b"saved by the trainer meanwhile")

    in_the_way = pytest.raises(TrashError, match=r"ckpt-7\.index: is in the way")
    with file_system(), hooked(save), in_the_way:
        bring_back(root.fd, entry)
    assert index.read_bytes() == b"saved by the trainer meanwhile"
    index.unlink()
    assert_whole_in_trash(root, entry, before)


def _become_a_link_of_that_size_and_mtime(file: Path) -> None:
    old = file.stat()
    file.unlink()
    file.symlink_to("x" * old.st_size)
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns), follow_symlinks=False)


@pytest.mark.parametrize(
    "change",
    [Path.unlink, _grow, lambda file: os.utime(file), _become_a_link_of_that_size_and_mtime],
    ids=["gone", "grown", "saved_anew", "a_link"],
)
def test_what_is_no_longer_whole_in_the_trash_does_not_return_in_part(
    root: Root, change: Callable[[Path], None]
) -> None:
    entry = root.checkpoint()
    move_out(root.fd, entry, MANIFEST)
    change(root.path / TRASH_PATH / "ckpt-7.data-00002-of-00003")
    before = root.files()
    with pytest.raises(TrashError, match="no longer whole in the trash") as caught:
        bring_back(root.fd, entry)
    assert TRASH_PATH in caught.value.hint
    assert root.files() == before


def test_folders_that_are_gone_are_made_again_like_the_folder_above(root: Root) -> None:
    entry = root.checkpoint()
    before = root.files()
    move_out(root.fd, entry, MANIFEST)
    shutil.rmtree(root.path / "1h/BTC")
    (root.path / "1h").chmod(0o2775)
    bring_back(root.fd, entry)
    assert_whole_in_place(root, entry, before)
    for folder in ("1h/BTC", "1h/BTC/LSTM"):
        assert (root.path / folder).stat().st_mode & 0o7777 == 0o2775


def test_a_root_copied_to_another_disk_still_gives_back_what_it_trashed(
    root: Root, tmp_path: Path
) -> None:
    entry = root.checkpoint()
    before = root.files()
    move_out(root.fd, entry, MANIFEST)
    copied = Root(Path(shutil.copytree(root.path, tmp_path / "copy")))
    bring_back(copied.fd, entry)
    assert_whole_in_place(copied, entry, before)
    os.close(copied.fd)


# --- purging and listing -----------------------------------------------------------------------


def test_purging_removes_the_files_and_their_folder_and_tells_the_bytes(root: Root) -> None:
    entry = root.checkpoint()
    move_out(root.fd, entry, MANIFEST)
    assert purge(root.fd, entry) == sum(part.fact.size for part in entry.parts)
    assert purge(root.fd, entry) == 0
    assert os.listdir(root.path / ".watcherd/trash") == []


@pytest.mark.parametrize(
    "foreign",
    ["notes.txt", "ckpt-7.data-00000-of-00003"],
    ids=["not_listed", "not_what_was_trashed"],
)
def test_purging_leaves_what_is_not_the_artifact(root: Root, foreign: str) -> None:
    entry = root.checkpoint()
    move_out(root.fd, entry, MANIFEST)
    (root.path / TRASH_PATH / foreign).write_bytes(b"somebody's work")
    purge(root.fd, entry)
    assert root.in_trash() == {foreign, "manifest.json"}


def test_purging_never_removes_a_name_that_the_manifest_does_not_list(root: Root) -> None:
    entry = root.checkpoint()
    move_out(root.fd, replace(entry, parts=entry.parts[1:]), MANIFEST)
    unlisted = root.path / entry.parts[0].path
    unlisted.rename(root.path / TRASH_PATH / unlisted.name)
    purge(root.fd, entry)
    assert root.in_trash() == {unlisted.name, "manifest.json"}


def test_a_manifest_lost_in_a_power_cut_does_not_keep_a_purge_from_working(root: Root) -> None:
    entry = root.checkpoint()
    move_out(root.fd, entry, MANIFEST)
    (root.path / TRASH_PATH / "manifest.json").write_bytes(b"")
    assert purge(root.fd, entry) > 0
    assert root.in_trash() == set()


def test_purging_does_not_tear_a_model_whose_way_back_was_interrupted(root: Root) -> None:
    entry = root.checkpoint()
    before = root.files()
    move_out(root.fd, entry, MANIFEST)
    with suppress(KeyboardInterrupt), hooked(_interrupt_at("rename_noreplace", 2)):
        bring_back(root.fd, entry)
    with pytest.raises(TrashError, match="partly in the trash, partly in its place"):
        purge(root.fd, entry)
    bring_back(root.fd, entry)
    assert_whole_in_place(root, entry, before)


def test_holds_tells_whole_partly_and_nothing(root: Root) -> None:
    entry = root.checkpoint()
    assert holds(root.fd, entry) is Held.NOTHING
    move_out(root.fd, entry, MANIFEST)
    assert holds(root.fd, entry) is Held.WHOLE
    (root.path / TRASH_PATH / "ckpt-7.meta").unlink()
    assert holds(root.fd, entry) is Held.PARTLY
    purge(root.fd, entry)
    assert holds(root.fd, entry) is Held.NOTHING


def _manifest(**changes: object) -> bytes:
    part = {"role": "h5", "path": "a.h5", "size": 1, "mtime_ns": 1, "ctime_ns": 1}
    part |= {"inode": 1, "device": 1}
    return json.dumps({"path": "a.h5", "parts": [part | changes]}).encode()


JUNK = {
    "empty": b"",
    "no_json": b"PK\x03\x04",
    "no_object": b"[1, 2]",
    "nothing_in_it": b"{}",
    "parts_no_list": b'{"path": "a.h5", "parts": 5}',
    "part_no_object": b'{"path": "a.h5", "parts": [5]}',
    "bottomless": b"[" * 100_000,
    "role_of_the_future": _manifest(role="soul"),
    "size_no_number": _manifest(size="1"),
    "path_out_of_the_root": _manifest(path="../a.h5"),
    "path_of_our_own": _manifest(path=".watcherd/registry.db"),
}


def test_junk_in_the_trash_is_listed_as_such_and_hides_nothing(root: Root) -> None:
    entry = root.h5()
    move_out(root.fd, entry, MANIFEST)
    trash = root.path / ".watcherd/trash"
    for name, content in JUNK.items():
        (trash / name).mkdir()
        (trash / name / "manifest.json").write_bytes(content)
    (trash / "bare").mkdir()
    (trash / "file").write_bytes(b"")
    (trash / "link").symlink_to(trash / name_of(TRASH_PATH))
    (trash / "pipe").mkdir()
    os.mkfifo(trash / "pipe/manifest.json")
    (trash / "linked").mkdir()
    (trash / "linked/manifest.json").symlink_to(root.path / TRASH_PATH / "manifest.json")
    (trash / "vast").mkdir()
    with open(trash / "vast/manifest.json", "wb") as vast:
        vast.truncate(1 << 40)
    listed = {trashed.trash_path: trashed.entry for trashed in list_trash(root.fd)}
    assert listed.pop(TRASH_PATH) == entry
    others = {*JUNK, "bare", "file", "link", "pipe", "linked", "vast"}
    assert listed == {f".watcherd/trash/{name}": None for name in others}


def test_the_junk_is_junk_for_its_flaw_alone(root: Root) -> None:
    folder = root.path / ".watcherd/trash/x"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(_manifest())
    (trashed,) = list_trash(root.fd)
    assert trashed.entry is not None
    assert trashed.entry.path == "a.h5"


def test_a_root_without_a_trash_has_nothing_in_it(root: Root) -> None:
    assert list_trash(root.fd) == ()
    assert purge(root.fd, root.h5()) == 0


# --- never anywhere else -----------------------------------------------------------------------

A_FACT = FileFact(1, 1, 1, 1, 1)
AN_H5 = Part(Role.H5, "a.h5", A_FACT)
WRONG_ENTRIES: dict[str, tuple[str, tuple[Part, ...]]] = {
    "no place in the trash": (".watcherd/elsewhere", (AN_H5,)),
    "the trash itself": (".watcherd/trash", (AN_H5,)),
    "above the trash": (".watcherd/trash/..", (AN_H5,)),
    "nothing to move": (TRASH_PATH, ()),
    "up and away": (TRASH_PATH, (Part(Role.H5, "1h/../../a.h5", A_FACT),)),
    "absolute": (TRASH_PATH, (Part(Role.H5, "/etc/passwd", A_FACT),)),
    "our registry": (TRASH_PATH, (Part(Role.H5, ".watcherd/registry.db", A_FACT),)),
    "a zero byte": (TRASH_PATH, (Part(Role.H5, "a\0.h5", A_FACT),)),
    "one name twice": (TRASH_PATH, (AN_H5, AN_H5)),
    "a file of another folder": (TRASH_PATH, (AN_H5, Part(Role.GRAPH, "1h/a.h5", A_FACT))),
    "a file of a folder beside": (TRASH_PATH, (AN_H5, Part(Role.ASSET, "a.h5x/a", A_FACT))),
    "the manifest's name": (TRASH_PATH, (Part(Role.H5, "manifest.json", A_FACT),)),
    "a temporary folder": (TRASH_PATH, (AN_H5, Part(Role.TEMPORARY, "a_temp", A_FACT))),
}


@pytest.mark.parametrize("name", WRONG_ENTRIES)
def test_an_entry_leads_from_the_models_to_the_trash_and_nowhere_else(name: str) -> None:
    trash_path, parts = WRONG_ENTRIES[name]
    with pytest.raises(TrashError) as caught:
        Entry("a.h5", trash_path, parts)
    assert caught.value.hint


def _swap_for_a_link(root: Root, path: str) -> None:
    """What was there lies outside now, unchanged: only the link tells."""
    aside = root.path.parent / "aside"
    (root.path / path).rename(aside)
    (root.path / path).symlink_to(aside)


@pytest.mark.parametrize("verb", ["move_out", "bring_back"])
@pytest.mark.parametrize("link", ["1h", "1h/BTC", FOLDER])
def test_a_symlink_on_the_way_is_not_followed(root: Root, verb: str, link: str) -> None:
    entry = root.checkpoint()
    if verb == "bring_back":
        move_out(root.fd, entry, MANIFEST)
    _swap_for_a_link(root, link)
    before = contents(root.path.parent)
    with pytest.raises(TrashError, match=f"{link}: is a symlink"):
        VERBS[verb](root, entry)
    assert contents(root.path.parent) == before


@pytest.mark.parametrize("link", [".watcherd", ".watcherd/trash", TRASH_PATH])
@pytest.mark.parametrize("verb", VERBS)
def test_a_trash_that_is_a_symlink_is_refused(root: Root, verb: str, link: str) -> None:
    entry = root.checkpoint()
    move_out(root.fd, entry, MANIFEST)
    if verb == "move_out":
        entry = root.checkpoint()
    _swap_for_a_link(root, link)
    before = contents(root.path.parent)
    with pytest.raises(TrashError, match=f"{link}: is a symlink"):
        VERBS[verb](root, entry)
    with pytest.raises(TrashError, match=f"{link}: is a symlink"):
        holds(root.fd, entry)
    assert contents(root.path.parent) == before


def test_folders_swapped_for_links_all_the_time_never_lead_outside(root: Root) -> None:
    entry = root.checkpoint()
    outside = root.path.parent / "outside"
    shutil.copytree(root.path / "1h/BTC", outside, copy_function=os.link)
    (root.path / "swap").symlink_to(outside)
    before, untouched = root.files(), contents(outside)
    over, outcomes = threading.Event(), Counter[str]()

    def swap() -> None:
        while not over.wait(0.0005):
            for _there_and_back in range(2):
                calls._renameat2(root.fd, b"1h/BTC", root.fd, b"swap", RENAME_EXCHANGE)

    def decided(part: Part) -> Part:
        """By its link outside: the facts fit on both sides, so that nothing but the way differs."""
        found = beside.part(part.role, f"outside/LSTM/{name_of(part.path)}")
        return part._replace(fact=found.fact)

    beside = Root(root.path.parent)
    thread = threading.Thread(target=swap)
    thread.start()
    until = time.monotonic() + 2
    try:
        while time.monotonic() < until:
            entry = replace(entry, parts=tuple(decided(part) for part in entry.parts))
            for verb in (partial(move_out, manifest=MANIFEST), bring_back):
                try:
                    verb(root.fd, entry, sync=False)
                    outcomes["moved"] += 1
                except TrashError:
                    outcomes["refused"] += 1
    finally:
        over.set()
        thread.join()
        os.close(beside.fd)
    assert contents(outside) == untouched
    assert set(outcomes) == {"moved", "refused"}
    bring_back(root.fd, entry)
    assert_whole_in_place(root, entry, before)


# --- other users, other file systems -----------------------------------------------------------


@contextmanager
def as_nobody() -> Iterator[None]:
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@needs_root
def test_a_folder_of_another_user_keeps_its_models(root: Root) -> None:
    entry = root.checkpoint()
    root.path.chmod(0o777)
    before = root.files()
    with as_nobody(), pytest.raises(TrashError, match="may not be moved") as caught:
        move_out(root.fd, entry, MANIFEST)
    assert "owner" in caught.value.hint
    assert_whole_in_place(root, entry, before)


@needs_root
def test_one_file_that_may_not_be_moved_keeps_the_others(root: Root) -> None:
    entry = root.checkpoint()
    root.path.chmod(0o777)
    (root.path / FOLDER).chmod(0o1777)
    for part in entry.parts[1:]:
        os.chown(root.path / part.path, NOBODY, NOBODY)
    entry = root.again(entry)
    before = root.files()
    with as_nobody(), pytest.raises(TrashError, match=r"data-00000-of-00003: may not be moved"):
        move_out(root.fd, entry, MANIFEST)
    assert_whole_in_place(root, entry, before)


@needs_root
def test_who_may_enter_the_folder_may_enter_its_trash_and_nobody_else(root: Root) -> None:
    entry = root.h5()
    folder = root.path / FOLDER
    os.chown(folder, NOBODY, 4242)
    folder.chmod(0o2775)
    old = os.umask(0o077)
    try:
        move_out(root.fd, entry, MANIFEST)
    finally:
        os.umask(old)
    trash = (root.path / TRASH_PATH).stat()
    assert (trash.st_uid, trash.st_gid, trash.st_mode & 0o7777) == (NOBODY, 4242, 0o2770)
    assert (root.path / TRASH_PATH / "manifest.json").stat().st_mode & 0o777 == 0o660
    above = (root.path / ".watcherd/trash").stat().st_mode
    assert above & 0o7777 == root.path.stat().st_mode & 0o7777


@needs_root
def test_a_group_that_we_cannot_give_gets_no_rights_in_the_trash(root: Root) -> None:
    entry = root.h5()
    folder = root.path / FOLDER
    root.path.chmod(0o777)
    os.chown(folder, 0, 4242)
    folder.chmod(0o777)
    with as_nobody():
        move_out(root.fd, entry, MANIFEST)
    assert (root.path / TRASH_PATH).stat().st_mode & 0o777 == 0o700


@needs_root
def test_what_could_not_be_put_back_is_not_taken(root: Root) -> None:
    if Path("/proc/sys/fs/protected_hardlinks").read_text().strip() != "1":
        pytest.skip("this system lets everybody link to everybody's files")
    entry = root.checkpoint()
    root.path.chmod(0o777)
    (root.path / FOLDER).chmod(0o777)
    before = root.files()
    with without_noreplace(), as_nobody(), pytest.raises(TrashError, match="neither rename"):
        move_out(root.fd, entry, MANIFEST)
    assert_whole_in_place(root, entry, before)


MOUNTED = """
import os, sys
from datetime import UTC, datetime
sys.path[:0] = {path!r}
from tests.test_trash import *
root = Root(Path({root!r}))
before = root.files()
entry = root.checkpoint()
with pytest.raises(TrashError, match="lies on another file system") as caught:
    move_out(root.fd, entry, MANIFEST)
assert "by hand" in caught.value.hint
assert sorted(os.listdir(root.path / FOLDER)) == sorted(name_of(p.path) for p in entry.parts)
assert root.in_trash() == set()
print("whole in place")
"""


def test_a_mount_below_the_root_keeps_its_models(root: Root) -> None:
    (root.path / "1h").mkdir()
    inside = ["unshare", "-rm", "sh", "-c"]
    mount = f"mount -t tmpfs none '{root.path}/1h'"
    if subprocess.run([*inside, mount], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    program = root.path.parent / "program.py"
    here = str(Path(__file__).parents[1])
    program.write_text(MOUNTED.format(root=str(root.path), path=[here]))
    done = subprocess.run(
        [*inside, f"{mount} && '{sys.executable}' '{program}'"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "whole in place\n", done.stderr


def test_an_old_c_library_is_asked_by_the_number_of_the_system_call(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(syscall=library.syscall))
    monkeypatch.setattr(calls, "_renameat2", calls._find_renameat2())
    entry = root.checkpoint()
    before = root.files()
    move_out(root.fd, entry, MANIFEST)
    assert_whole_in_trash(root, entry, before)
    root.save(entry.parts[0].path, b"in the way")
    with pytest.raises(FileExistsError):
        calls.rename_noreplace(*_ends(root, entry))


def _ends(root: Root, entry: Entry) -> tuple[int, str, int]:
    trash = os.open(root.path / TRASH_PATH, os.O_RDONLY)
    return trash, name_of(entry.parts[0].path), os.open(root.path / FOLDER, os.O_RDONLY)


# --- reaching the disk -------------------------------------------------------------------------


def _synced(root: Root, verb: Callable[[], object]) -> list[str]:
    """The paths that fsync(2) is called for, in order."""
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:

        def note(descriptor: int) -> None:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            seen.append(os.path.relpath(path, root.path.resolve()))

        patch.setattr(calls, "sync", note)
        verb()
    return seen


@pytest.mark.parametrize("verb", ["move_out", "bring_back"])
def test_both_folders_reach_the_disk_before_the_call_returns(root: Root, verb: str) -> None:
    entry = root.checkpoint()
    if verb == "bring_back":
        move_out(root.fd, entry, MANIFEST)
        synced = _synced(root, lambda: bring_back(root.fd, entry))
    else:
        synced = _synced(root, lambda: move_out(root.fd, entry, MANIFEST))
        assert synced[0] == f"{TRASH_PATH}/manifest.json.new"
    assert {FOLDER, TRASH_PATH, ".watcherd/trash"} <= set(synced)


def test_a_batch_waits_once_for_each_folder(root: Root) -> None:
    entries = []
    for i in range(3):
        path = f"{FOLDER}/{i}.h5"
        root.save(path)
        place = trash_path_for(i, datetime(2026, 5, 17, tzinfo=UTC))
        entries.append(Entry(path, place, (root.part(Role.H5, path),)))

    def move_all() -> None:
        for entry in entries:
            move_out(root.fd, entry, MANIFEST, sync=False)

    assert _synced(root, move_all) == []
    synced = _synced(root, lambda: sync_folders(root.fd, entries))
    assert len(synced) == len(set(synced))
    assert {FOLDER, ".watcherd/trash"} <= set(synced)
    assert not {entry.trash_path for entry in entries} & set(synced), "a flush a model is slow"


@pytest.mark.parametrize(
    ("code", "told"),
    [(errno.EIO, "Input/output error"), (errno.EINVAL, None)],
    ids=["a_broken_disk_is_told", "a_file_system_without_fsync_is_fine"],
)
def test_a_folder_that_cannot_be_synced(
    root: Root, monkeypatch: pytest.MonkeyPatch, code: int, told: str | None
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    entry = root.checkpoint()
    move_out(root.fd, entry, MANIFEST, sync=False)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(TrashError, match=told) if told else nullcontext():
        sync_folders(root.fd, [entry])
