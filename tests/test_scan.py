"""A scope names where to look; a scan says what is there, and what it could not see."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd import scan
from watcherd.artifact import FileFact, Form, Role, Snapshot, fact_from
from watcherd.listing import open_folder
from watcherd.naming import Naming
from watcherd.scope import ROOT, Scope, folders, is_within, lineage, parent_of, tree

# -- scopes ----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "ab", "a-b", "a0", "b c", "*"])
PATHS = st.lists(NAMES, max_size=4).map("/".join)
SCOPES = st.builds(
    Scope,
    trees=st.frozensets(PATHS, max_size=4),
    folders=st.frozensets(PATHS, max_size=4),
)


@pytest.mark.parametrize(
    ("made", "normalised"),
    [
        pytest.param(tree("a", "a/b"), tree("a"), id="a tree holds the trees below it"),
        pytest.param(tree("a", "ab"), tree("ab", "a"), id="a longer name is no tree below"),
        pytest.param(tree("a/b", "a/bc"), tree("a/bc", "a/b"), id="nor is one deeper down"),
        pytest.param(tree("", "a", "a/b"), ROOT, id="the root holds all"),
        pytest.param(tree("a") | folders(["a/b"]), tree("a"), id="a tree holds folders below it"),
        pytest.param(tree("a") | folders(["a"]), tree("a"), id="and the folder of its own path"),
        pytest.param(ROOT | folders(["", "x"]), ROOT, id="the root holds every folder"),
        pytest.param(tree("a") | Scope(), tree("a"), id="nothing adds nothing"),
    ],
)
def test_equal_scopes_are_equal_values(made: Scope, normalised: Scope) -> None:
    assert made == normalised
    assert hash(made) == hash(normalised)
    assert str(made) == str(normalised)


def test_a_folder_and_a_tree_below_it_stay_apart() -> None:
    scope = folders(["a"]) | tree("a/b")
    assert scope.folders == {"a"}
    assert scope.trees == {"a/b"}


@pytest.mark.parametrize(
    ("scope", "folder", "covered"),
    [
        (ROOT, "", True),
        (ROOT, "a/b/c", True),
        (tree("a"), "a", True),
        (tree("a"), "a/b", True),
        (tree("a"), "", False),
        (tree("a"), "ab", False),
        (tree("a"), "b/a", False),
        (folders(["a"]), "a", True),
        (folders(["a"]), "a/b", False),
        (folders([""]), "", True),
        (folders([""]), "a", False),
        (Scope(), "", False),
    ],
)
def test_it_covers_its_folders_and_what_is_below_its_trees(
    scope: Scope, folder: str, covered: bool
) -> None:
    assert scope.covers(folder) is covered


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (ROOT, "root"),
        (tree("1h/BTC"), "1h/BTC/**"),
        (folders(["1h/BTC"]), "1h/BTC"),
        (folders([""]), "."),
        (folders(["b", "a", "c"]), "a and 2 more"),
        (tree("b") | folders(["a"]), "a and 1 more"),
        pytest.param(
            Scope(),
            "nothing",
        ),
    ],
)
def test_it_reads_as_a_person_would_say_it(scope: Scope, text: str) -> None:
    assert str(scope) == text


@given(one=SCOPES, other=SCOPES, path=PATHS)
def test_a_union_covers_what_either_covers(one: Scope, other: Scope, path: str) -> None:
    assert (one | other).covers(path) == (one.covers(path) or other.covers(path))


@given(trees=st.frozensets(PATHS, max_size=5), alone=st.frozensets(PATHS, max_size=5), path=PATHS)
def test_normalising_changes_nothing_that_is_covered(
    trees: frozenset[str], alone: frozenset[str], path: str
) -> None:
    by_hand = path in alone or any(
        not one or path == one or path.startswith(f"{one}/") for one in trees
    )
    assert Scope(trees, alone).covers(path) == by_hand


@given(one=SCOPES, other=SCOPES, third=SCOPES)
def test_unions_are_a_set_s(one: Scope, other: Scope, third: Scope) -> None:
    assert one | other == other | one
    assert one | one == one
    assert (one | other) | third == one | (other | third)
    assert bool(one | other) == (bool(one) or bool(other))


@given(scope=SCOPES)
def test_nothing_in_it_lies_below_one_of_its_own_trees(scope: Scope) -> None:
    for held in scope.trees:
        assert not any(is_within(other, held) for other in scope.trees - {held})
        assert not any(is_within(folder, held) for folder in scope.folders)


@given(path=PATHS)
def test_a_path_lies_within_each_folder_of_its_lineage_and_no_other(path: str) -> None:
    above = list(lineage(path))
    assert above[0] == path
    assert above[-1] == ""
    assert all(is_within(path, folder) for folder in above)
    assert all(parent_of(below) == folder for below, folder in pairwise(above))


# -- what a scan sees ------------------------------------------------------------------------------


def look(root: Path, scope: Scope = ROOT, naming: Naming | None = None) -> Snapshot:
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return scan.scan(root_fd, scope, naming or Naming())
    finally:
        os.close(root_fd)


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode(errors="surrogateescape"))


@contextmanager
def listening_at(path: Path) -> Iterator[None]:
    """A socket at a path, which may be longer than the 108 bytes that unix(7) takes."""
    folder_fd = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"/proc/self/fd/{folder_fd}/{path.name}")
            yield
    finally:
        os.close(folder_fd)


def test_files_are_grouped_into_artifacts_and_all_else_is_left_out(root: Path) -> None:
    write(
        root,
        "1h/BTC/LSTM/m.h5",
        "1h/BTC/LSTM/W.HDF5",
        "1h/BTC/LSTM/ckpt-1.index",
        "1h/BTC/LSTM/ckpt-1.data-00000-of-00002",
        "1h/BTC/LSTM/ckpt-1.data-00001-of-00002",
        "1h/BTC/LSTM/ckpt-1.meta",
        "1h/BTC/LSTM/ckpt-2.data-00000-of-00001",
        "1h/BTC/LSTM/m.h5.png",
        "1h/BTC/LSTM/readme.txt",
        "1h/BTC/LSTM/events.out.tfevents.1.h5",
        "1h/BTC/LSTM/part-00000-of-00001.data-00000-of-00001",
        "1h/BTC/LSTM/.hidden.h5",
        "top.h5",
    )
    seen = look(root)
    assert {path: [part.role for part in one.parts] for path, one in seen.artifacts.items()} == {
        "1h/BTC/LSTM/m.h5": [Role.H5],
        "1h/BTC/LSTM/W.HDF5": [Role.H5],
        "1h/BTC/LSTM/ckpt-1": [Role.SHARD, Role.SHARD, Role.INDEX, Role.GRAPH],
        "1h/BTC/LSTM/ckpt-2": [Role.SHARD],
        "top.h5": [Role.H5],
    }
    assert set(seen.folders) == {"", "1h", "1h/BTC", "1h/BTC/LSTM"}
    assert [seen.blind, seen.absent, seen.unfollowed, seen.skipped] == [{}, {}, {}, {}]


def test_facts_are_what_lstat_says(root: Path) -> None:
    write(root, "m.h5")
    os.utime(root / "m.h5", ns=(1, 1_234_567_890_123_456_789))
    told = os.lstat(root / "m.h5")
    (part,) = look(root).artifacts["m.h5"].parts
    assert part.fact == FileFact(
        len("m.h5"), 1_234_567_890_123_456_789, told.st_ctime_ns, told.st_ino, told.st_dev
    )


def test_a_folder_s_mtime_is_its_own(root: Path) -> None:
    write(root, "a/m.h5")
    assert look(root).folders == {
        "": root.stat().st_mtime_ns,
        "a": (root / "a").stat().st_mtime_ns,
    }


@pytest.mark.parametrize(
    ("scope", "listed", "found"),
    [
        (ROOT, {"", "a", "a/b", "c"}, {"0.h5", "a/1.h5", "a/b/2.h5", "c/3.h5"}),
        (tree("a"), {"a", "a/b"}, {"a/1.h5", "a/b/2.h5"}),
        (folders(["a"]), {"a"}, {"a/1.h5"}),
        (folders([""]), {""}, {"0.h5"}),
        (folders(["c"]) | tree("a/b"), {"c", "a/b"}, {"c/3.h5", "a/b/2.h5"}),
        (Scope(), set(), set()),
    ],
)
def test_only_the_scope_is_looked_at(
    root: Path, scope: Scope, listed: set[str], found: set[str]
) -> None:
    write(root, "0.h5", "a/1.h5", "a/b/2.h5", "c/3.h5")
    seen = look(root, scope)
    assert seen.scope == scope
    assert set(seen.folders) == listed
    assert set(seen.artifacts) == found


def test_names_that_differ_only_in_case_are_two_artifacts(root: Path) -> None:
    write(root, "a/m.h5", "a/M.h5", "A/m.h5", "a/ckpt-1.index", "a/CKPT-1.index")
    assert set(look(root).artifacts) == {"a/m.h5", "a/M.h5", "A/m.h5", "a/ckpt-1", "a/CKPT-1"}


def test_a_graph_alone_is_no_artifact(root: Path) -> None:
    write(root, "model.meta", "ckpt-1.meta", "ckpt-2.meta", "ckpt-2.index")
    assert set(look(root).artifacts) == {"ckpt-2"}


def test_an_hdf5_file_takes_the_path_that_a_checkpoint_claims_too(root: Path) -> None:
    write(root, "w.h5", "w.h5.index", "w.h5.data-00000-of-00001")
    seen = look(root)
    assert seen.artifacts["w.h5"].form is Form.HDF5
    assert len(seen.artifacts) == 1
    assert list(seen.skipped.values()) == ["w.h5 is a file of its own"]


# -- temporary folders -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ckpt-1_temp", "ckpt-1_temp_" + "0123456789abcdef" * 2])
def test_a_temporary_folder_is_a_part_of_the_checkpoint_being_saved(root: Path, name: str) -> None:
    write(root, "a/ckpt-1.index", f"a/{name}/part-00000-of-00001.index", "a/ckpt-2.index")
    seen = look(root)
    parts = {part.path: part.role for part in seen.artifacts["a/ckpt-1"].parts}
    assert parts == {"a/ckpt-1.index": Role.INDEX, f"a/{name}": Role.TEMPORARY}
    assert [part.path for part in seen.artifacts["a/ckpt-1"].files] == ["a/ckpt-1.index"]
    assert [part.role for part in seen.artifacts["a/ckpt-2"].parts] == [Role.INDEX]


def test_what_lies_in_a_temporary_folder_is_no_artifact_even_when_asked_for(root: Path) -> None:
    write(root, "ckpt-1_temp/part-0.index", "ckpt-1_temp/below/m.h5")
    assert look(root).artifacts == {}
    for scope in (tree("ckpt-1_temp"), folders(["ckpt-1_temp"]), tree("ckpt-1_temp/below")):
        assert look(root, scope).artifacts == {}


# -- absence ---------------------------------------------------------------------------------------


def test_an_absent_folder_is_proven_so_by_the_nearest_above_that_is_there(root: Path) -> None:
    write(root, "a/m.h5")
    seen = look(root, folders(["a/b/c"]) | tree("x/y"))
    assert seen.absent == {
        "a/b/c": (root / "a").stat().st_mtime_ns,
        "x/y": root.stat().st_mtime_ns,
    }
    assert seen.absent_since("a/b/c") == (root / "a").stat().st_mtime_ns
    assert seen.absent_since("z") is None
    assert not seen.blind


def test_a_file_in_the_place_of_a_folder_proves_its_absence(root: Path) -> None:
    write(root, "a")
    seen = look(root, tree("a/b"))
    assert set(seen.absent) == {"a/b"}
    assert not seen.blind
    assert not seen.hides("a/b/m.h5")


def test_absence_is_never_older_than_what_was_listed(root: Path) -> None:
    write(root, "a/m.h5", "a/n.h5")
    before = look(root).absent_since("a")
    (root / "a/m.h5").unlink()
    after = look(root).absent_since("a")
    assert before is not None
    assert after is not None
    assert after == (root / "a").stat().st_mtime_ns >= before


# -- symlinks --------------------------------------------------------------------------------------


def test_symlinks_are_named_and_never_followed(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/m.h5", "outside/ckpt-1.index")
    write(root, "a/m.h5")
    for name, target in {
        "folder": tmp_path / "outside",
        "file.h5": tmp_path / "outside/m.h5",
        "ckpt-1.index": tmp_path / "outside/ckpt-1.index",
        "loop": root,
        "dangling.h5": root / "nowhere",
        "self": root / "self",
    }.items():
        (root / name).symlink_to(target)
    seen = look(root)
    assert set(seen.artifacts) == {"a/m.h5"}
    assert set(seen.folders) == {"", "a"}
    assert set(seen.unfollowed) == {
        "folder", "file.h5", "ckpt-1.index", "loop", "dangling.h5", "self"
    }  # fmt: skip
    assert all("symlink" in why for why in seen.unfollowed.values())
    assert seen.hides("folder/deep/below.h5")
    assert not seen.hides("file.h5"), "what was there is gone: the listing proves it"


@pytest.mark.parametrize("path", ["link", "link/sub", "real/link/sub", "link/nowhere/at/all"])
def test_a_symlink_on_the_way_hides_what_is_behind_it(root: Path, path: str) -> None:
    write(root, "real/sub/m.h5")
    (root / "link").symlink_to("real")
    (root / "real/link").symlink_to(".")
    for scope in (tree(path), folders([path])):
        seen = look(root, scope)
        assert seen.artifacts == {}
        assert [seen.folders, seen.absent, seen.blind] == [{}, {}, {}]
        assert seen.hides(f"{path}/m.h5")


class Swapping(Naming):
    """Acts at the last moment before a folder is opened: when it is asked whether to ignore it."""

    def __init__(self, at: str, act: Callable[[], object]) -> None:
        super().__init__()
        object.__setattr__(self, "_swap", {at: act})

    def ignores(self, path: str) -> str | None:
        if act := self._swap.pop(path, None):  # type: ignore[attr-defined]  # set above
            act()
        return super().ignores(path)


def test_a_folder_swapped_for_a_symlink_while_we_look_is_not_followed(
    root: Path, tmp_path: Path
) -> None:
    write(root, "a/b/m.h5", "a/n.h5")
    write(tmp_path, "outside/stolen.h5")

    def swap() -> None:
        (root / "a/b").rename(tmp_path / "b")
        (root / "a/b").symlink_to(tmp_path / "outside")

    seen = look(root, naming=Swapping("a/b", swap))
    assert set(seen.artifacts) == {"a/n.h5"}
    assert set(seen.unfollowed) == {"a/b"}
    assert seen.hides("a/b/m.h5")


def test_a_folder_that_vanishes_while_we_look_is_absent(root: Path) -> None:
    write(root, "a/b/c/m.h5", "a/n.h5")

    def vanish() -> None:
        (root / "a/b/c/m.h5").unlink()
        (root / "a/b/c").rmdir()
        (root / "a/b").rmdir()

    seen = look(root, naming=Swapping("a/b", vanish))
    assert set(seen.artifacts) == {"a/n.h5"}
    assert set(seen.absent) == {"a/b"}
    assert not seen.blind


# -- one folder, one path --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("link", errno.ELOOP),
        ("link/sub", errno.ELOOP),
        ("real/link/sub", errno.ELOOP),
        ("dangling", errno.ELOOP),
        ("nowhere", errno.ENOENT),
        ("real/nowhere/sub", errno.ENOENT),
        ("real/sub/m.h5", errno.ENOTDIR),
        ("real/sub/m.h5/below", errno.ENOTDIR),
        ("x" * 300, errno.ENAMETOOLONG),
    ],
)
def test_open_folder_says_why_it_cannot_and_leaves_nothing_open(
    root: Path, path: str, code: int
) -> None:
    write(root, "real/sub/m.h5")
    (root / "link").symlink_to("real")
    (root / "real/link").symlink_to(".")
    (root / "dangling").symlink_to("gone")
    root_fd = os.open(root, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=os.strerror(code)), open_folder(root_fd, path):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(root_fd)


def test_open_folder_gives_the_folder_and_closes_it(root: Path) -> None:
    write(root, "real/sub/m.h5")
    root_fd = os.open(root, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    for path, names in {"": ["real"], "real": ["sub"], "real/sub": ["m.h5"]}.items():
        with open_folder(root_fd, path) as folder_fd:
            assert os.listdir(folder_fd) == names
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(root_fd)


def test_a_path_s_facts_are_told_or_its_absence_or_an_error(root: Path) -> None:
    write(root, "a/m.h5")
    (root / "link").symlink_to("a")
    root_fd = os.open(root, os.O_RDONLY)
    told = os.lstat(root / "a/m.h5")
    assert scan.fact_of(root_fd, "a/m.h5") == fact_from(told)
    for absent in ("a/n.h5", "nowhere/m.h5", "a/m.h5/below"):
        assert scan.fact_of(root_fd, absent) is None
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        scan.fact_of(root_fd, "link/m.h5")
    os.close(root_fd)


def _replace(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def _link_to_itself_elsewhere(path: Path) -> None:
    path.rename(path.with_name("x"))
    path.symlink_to("x")


def _rewrite_in_secret(path: Path) -> None:
    told = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "written to": lambda path: path.write_bytes(b"other"),
    "written to, its size and mtime put back": _rewrite_in_secret,
    "an equal file in its place": _replace,
    "removed": Path.unlink,
    "now a symlink": _link_to_itself_elsewhere,
    "its mode changed": lambda path: path.chmod(0o600),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_artifact_is_unchanged_only_while_every_fact_is(root: Path, change: str) -> None:
    write(root, "a/m.h5")
    artifact = look(root).artifacts["a/m.h5"]
    root_fd = os.open(root, os.O_RDONLY)
    assert scan.is_unchanged(root_fd, artifact)
    CHANGES[change](root / "a/m.h5")
    assert not scan.is_unchanged(root_fd, artifact)
    os.close(root_fd)


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**63 + 5, 2**64 - 1])
def test_inode_and_device_numbers_of_64_bits_fit_what_a_registry_holds(number: int) -> None:
    told = SimpleNamespace(st_size=1, st_mtime_ns=2, st_ctime_ns=3, st_ino=number, st_dev=number)
    fact = fact_from(told)  # type: ignore[arg-type]  # as a CIFS or FUSE mount would tell
    assert -(2**63) <= fact.inode < 2**63
    assert -(2**63) <= fact.device < 2**63
    assert fact.inode % 2**64 == number


# -- what is not looked at -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [".watcherd", ".git", ".ipynb_checkpoints", "lost+found", "a_temp"]
)
def test_hidden_and_foreign_folders_are_not_looked_into(root: Path, name: str) -> None:
    write(root, f"{name}/m.h5", f"{name}/below/n.h5", f"1h/{name}/o.h5", "1h/p.h5")
    for scope in (ROOT, tree(name), tree(f"{name}/below"), folders([name, f"1h/{name}"])):
        assert set(look(root, scope).artifacts) <= {"1h/p.h5"}
    assert set(look(root).artifacts) == {"1h/p.h5"}


def test_what_the_settings_ignore_is_not_looked_at(root: Path) -> None:
    write(root, "a/old_1.h5", "a/new.h5", "old_b/m.h5", "1h/TEST/m.h5", "4h/TEST/m.h5")
    naming = Naming(ignore=("old_*", "/1h/TEST"))
    seen = look(root, naming=naming)
    assert set(seen.artifacts) == {"a/new.h5", "4h/TEST/m.h5"}
    assert seen.unfollowed["old_b"] == "ignored by old_*"
    assert seen.hides("1h/TEST/m.h5")


def test_pipes_and_sockets_are_skipped_with_a_reason(root: Path) -> None:
    write(root, "a/m.h5")
    os.mkfifo(root / "a/pipe.h5")
    os.mkfifo(root / "a/ckpt-1.index")
    with listening_at(root / "a/socket.h5"):
        seen = look(root)
    assert set(seen.artifacts) == {"a/m.h5"}
    assert set(seen.skipped) == {"a/pipe.h5", "a/ckpt-1.index", "a/socket.h5"}
    assert all("not a regular file" in why for why in seen.skipped.values())


def test_a_folder_with_the_name_of_a_model_is_a_folder(root: Path) -> None:
    write(root, "m.h5/n.h5", "ckpt-1.index/o.h5", "p.data-00000-of-00001/q.h5")
    assert set(look(root).artifacts) == {
        "m.h5/n.h5", "ckpt-1.index/o.h5", "p.data-00000-of-00001/q.h5"
    }  # fmt: skip


def test_names_that_are_not_utf8_are_skipped_with_a_reason(root: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe.h5")
    write(root, "a/m.h5", f"a/{odd}", f"{odd}/n.h5")
    seen = look(root)
    assert set(seen.artifacts) == {"a/m.h5"}
    assert f"a/{odd}" in seen.skipped
    assert all("not UTF-8" in why for why in seen.skipped.values())


def test_a_tree_a_hundred_folders_deep_is_seen_to_its_end(root: Path) -> None:
    path = "/".join(["d"] * 100) + "/m.h5"
    write(root, path)
    assert set(look(root).artifacts) == {path}
    assert set(look(root, folders([parent_of(path)])).artifacts) == {path}


# -- blind spots: as a user without root's privileges ----------------------------------------------

ORDINARY = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: what lets root ignore modes
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP, prctl(2)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def as_ordinary_user(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run Python with these words such that modes of files hold, also where tests run as root."""
    return subprocess.run(
        [sys.executable, "-c", ORDINARY, *words],
        capture_output=True, text=True, timeout=60, **more,
    )  # fmt: skip


SCAN = """
import json, os, sys
from watcherd.listing import open_folder
from watcherd.naming import Naming
from watcherd.scan import scan
from watcherd.scope import ROOT, folders
root_fd = os.open(sys.argv[1], os.O_RDONLY)
seen = scan(root_fd, folders(sys.argv[2:]) if sys.argv[2:] else ROOT, Naming())
hidden = [path for path in ("shut/m.h5", "open/m.h5") if seen.hides(path)]
told = [sorted(seen.artifacts), seen.blind, seen.absent, hidden]
print(json.dumps(told))
"""


@pytest.mark.parametrize(
    "mode", [0o000, 0o111, 0o444], ids=["shut", "not to be listed", "not to be entered"]
)
def test_a_folder_that_may_not_be_read_is_a_blind_spot_never_an_empty_one(
    root: Path, mode: int
) -> None:
    write(root, "shut/m.h5", "shut/below/m.h5", "open/m.h5")
    (root / "shut").chmod(mode)
    try:
        done = as_ordinary_user("-c", SCAN, str(root))
        deeper = as_ordinary_user("-c", SCAN, str(root), "shut/gone/for/ever")
    finally:
        (root / "shut").chmod(0o755)
    assert done.returncode == 0, done.stderr
    artifacts, blind, absent, hidden = json.loads(done.stdout)
    assert artifacts == ["open/m.h5"]
    assert blind == {"shut": "cannot be read: Permission denied"}
    assert not absent
    assert hidden == ["shut/m.h5"]
    _, blind, absent, _ = json.loads(deeper.stdout)
    assert not absent, "nothing behind a shut door is proven absent"
    assert any(is_within("shut/gone/for/ever", place) for place in blind)


# -- state files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "resume"),
    [
        (b'model_checkpoint_path: "ckpt-3"\nall_model_checkpoint_paths: "ckpt-2"\n', {"a/ckpt-3"}),
        (b'model_checkpoint_path: "/srv/elsewhere/run/ckpt-3"\n', {"a/ckpt-3"}),
        (b'model_checkpoint_path: "..\\\\run\\\\ckpt-3"', {"a/..\\run\\ckpt-3"}),
        (b'model_checkpoint_path: "C:\\\\run\\\\ckpt-3"', {"a/ckpt-3"}),
        (b"model_checkpoint_path: 'ckpt 3'", {"a/ckpt 3"}),
        (b'model_checkpoint_path: "\\355\\225\\234-3"', {"a/한-3"}),
        (b'model_checkpoint_path: "gone-3"', {"a/gone-3"}),
        (b'all_model_checkpoint_paths: "ckpt-2"\n', set()),
        (b'model_checkpoint_path: "ckpt-3', set()),
        (b'model_checkpoint_path: "."', set()),
        (b'model_checkpoint_path: ""', set()),
        (b"", set()),
        (b"\0" * 100, set()),
        (os.urandom(1000), set()),
        (b'model_checkpoint_path: "ckpt-3"\n' + b"#" * (3 << 20), {"a/ckpt-3"}),
        (b'"' * (3 << 20), set()),
        (b"\\" * (3 << 20), set()),
        (b"model_checkpoint_path:" * 100_000, set()),
    ],
    ids=[
        "relative", "absolute", "backslashes", "Windows", "single quotes", "octal escapes",
        "a dangling target", "older ones only", "an open quote", "a dot", "nothing", "empty",
        "zeros", "random bytes", "huge", "huge quotes", "huge backslashes", "huge keys",
    ],
)  # fmt: skip
def test_a_state_file_names_what_a_trainer_resumes_from(
    root: Path, content: bytes, resume: set[str]
) -> None:
    write(root, "a/ckpt-3.index")
    (root / "a/checkpoint").write_bytes(content)
    seen = look(root)
    assert seen.resume == resume
    assert set(seen.artifacts) == {"a/ckpt-3"}


def test_state_files_of_other_names_are_read_where_the_settings_name_them(root: Path) -> None:
    write(root, "a/m.index", "b/m.index")
    (root / "a/latest").write_bytes(b'model_checkpoint_path: "m"')
    (root / "b/checkpoint").write_bytes(b'model_checkpoint_path: "m"')
    assert look(root).resume == {"b/m"}
    assert look(root, naming=Naming(state_files=("latest",))).resume == {"a/m"}


@pytest.mark.parametrize("kind", ["pipe", "folder", "prefix"])
def test_what_is_named_checkpoint_may_be_something_else_entirely(root: Path, kind: str) -> None:
    write(root, "a/m.h5", "elsewhere")
    place = root / "a/checkpoint"
    match kind:
        case "pipe":
            os.mkfifo(place)
        case "folder":
            write(root, "a/checkpoint/m.h5")
        case "prefix":
            write(root, "a/checkpoint.index")
    seen = look(root)
    assert not seen.resume
    assert "a/m.h5" in seen.artifacts
    assert ("a/checkpoint/m.h5" in seen.artifacts) == (kind == "folder")
    assert ("a/checkpoint" in seen.artifacts) == (kind == "prefix")


@pytest.mark.parametrize("kind", ["symlink", "socket", "not readable"])
def test_a_state_file_that_cannot_be_read_may_name_any(root: Path, kind: str) -> None:
    write(root, "a/m.h5", "a/ckpt-1.index", "b/n.h5", "elsewhere")
    place = root / "a/checkpoint"
    if kind == "symlink":
        place.symlink_to(root / "elsewhere")
        assert look(root).resume == {"a/m.h5", "a/ckpt-1"}
    elif kind == "socket":
        with listening_at(place):
            assert look(root).resume == {"a/m.h5", "a/ckpt-1"}
    else:
        place.touch(0)
        done = as_ordinary_user("-c", SCAN.replace("seen.blind", "list(seen.resume)"), str(root))
        assert sorted(json.loads(done.stdout)[1]) == ["a/ckpt-1", "a/m.h5"]
