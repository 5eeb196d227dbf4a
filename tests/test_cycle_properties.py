"""Invariants of the cycle, on real folders with models that Keras and TensorFlow saved.

I1 reconcile twice: the second plan is empty. I2 any order of scopes that covers the root ends
where one whole scan ends. I3 nothing under a blind spot turns missing. I7 whatever became of the
events, after one whole cycle the registry equals the disk.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.conftest import VARIANTS, Saved
from tests.inline import reconcile, reconciler_of
from tests.truth import JUNK, TRUNCATED, truth
from watcherd.reconciler import Reconciler
from watcherd.registry import Filter, Mode, Registry
from watcherd.scope import ROOT, Scope, folders, tree

FOLDERS = ("1h/BTC/LSTM", "1h/ETH/LSTM", "1h/ETH/GRU/deep", "4h/BTC/LSTM", "loose")
NAMES = ("a", "b", "ckpt-1", "ckpt-2")
OTHERS = ("whole.db", "parts.db")
EXAMPLES = int(os.environ.get("WATCHERD_EXAMPLES", "200"))
"""Of each invariant; `make test-long` asks for more."""


@dataclass(frozen=True)
class Act:
    """Something a trainer or a person does to the disk."""

    verb: str
    at: str
    to: str
    variant: int

    def do(self, root: Path, saved: Saved) -> None:
        """What is impossible at this moment does not happen."""
        with suppress(FileNotFoundError, NotADirectoryError, shutil.Error, OSError):
            getattr(self, f"_{self.verb}")(root / self.at, root / self.to, saved)

    def _save_h5(self, at: Path, to: Path, saved: Saved) -> None:
        saved.write_h5(at.with_name(at.name + ".h5"), self.variant)

    def _save_checkpoint(self, at: Path, to: Path, saved: Saved) -> None:
        saved.write_checkpoint(at, self.variant)

    def _save_junk(self, at: Path, to: Path, saved: Saved) -> None:
        at.parent.mkdir(parents=True, exist_ok=True)
        at.with_name(at.name + ".h5").write_bytes(JUNK)

    def _truncate(self, at: Path, to: Path, saved: Saved) -> None:
        os.truncate(at.with_name(at.name + ".h5"), TRUNCATED)

    def _lose_index(self, at: Path, to: Path, saved: Saved) -> None:
        at.with_name(at.name + ".index").unlink()

    def _remove(self, at: Path, to: Path, saved: Saved) -> None:
        for path in _files(at):
            path.unlink()

    def _move(self, at: Path, to: Path, saved: Saved) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        for path in _files(at):
            path.rename(to.with_name(to.name + path.name.removeprefix(at.name)))

    def _copy(self, at: Path, to: Path, saved: Saved) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        for path in _files(at):
            shutil.copy2(path, to.with_name(to.name + path.name.removeprefix(at.name)))

    def _remove_folder(self, at: Path, to: Path, saved: Saved) -> None:
        shutil.rmtree(at.parent)

    def _move_folder(self, at: Path, to: Path, saved: Saved) -> None:
        at.parent.rename(to.parent)


def _files(prefix: Path) -> list[Path]:
    """Everything that starts with the name and goes on with a dot."""
    return sorted(prefix.parent.glob(f"{prefix.name}.*"))


VERBS = [name.removeprefix("_") for name in vars(Act) if name.startswith("_") and name[1].isalpha()]
PLACES = st.builds("{}/{}".format, st.sampled_from(FOLDERS), st.sampled_from(NAMES))
ACTS = st.builds(Act, st.sampled_from(VERBS), PLACES, PLACES, st.integers(0, VARIANTS - 1))
SCOPES = st.one_of(
    st.just(ROOT),
    st.lists(st.sampled_from(FOLDERS), min_size=1, max_size=2).map(folders),
    st.lists(st.sampled_from(["1h", "4h", "loose", "1h/ETH"]), min_size=1, max_size=2).map(
        lambda trees: tree(*trees)
    ),
)


SLICES = st.sampled_from([1, 2, 1000])
"""Artifacts in one slice of a large cycle: small ones cut through every move."""


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that knows no model yet."""
    path = tmp_path_factory.mktemp("registry") / "empty.db"
    Registry(f"sqlite:///{path}", Mode.CREATE).close()
    return path


@pytest.fixture
def in_new_root(saved: Saved, tmp_path: Path, empty_registry: Path) -> Callable[..., None]:
    """Runs a check on a root of its own, once for each example."""

    def run(check: Callable[[Path, Saved], None]) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            root = Path(folder) / "models"
            (root / ".watcherd").mkdir(parents=True)
            # Making the schema takes a hundred times as long as the rest of an example.
            for place in (root / ".watcherd" / "registry.db", *(root.parent / n for n in OTHERS)):
                shutil.copyfile(empty_registry, place)
            check(root, saved)

    return run


def books(reconciler: Reconciler) -> dict[str, str]:
    """Path -> state of the rows on disk."""
    states = ("present", "incomplete", "unreadable")
    found = reconciler.registry.models(Filter(states=states))
    assert len({row["path"] for row in found}) == len(found), "two rows for one path"
    return {row["path"]: row["state"] for row in found}


def contents(reconciler: Reconciler) -> dict[str, tuple[str, str | None]]:
    states = ("present", "incomplete", "unreadable")
    found = reconciler.registry.models(Filter(states=states))
    return {row["path"]: (row["state"], row["fingerprint"]) for row in found}


@settings(max_examples=EXAMPLES)
@given(acts=st.lists(ACTS, max_size=12), most=SLICES)
def test_i1_after_a_reconcile_there_is_nothing_left_to_reconcile(
    in_new_root: Callable[..., None], acts: list[Act], most: int
) -> None:
    def check(root: Path, saved: Saved) -> None:
        with reconciler_of(root) as reconciler:
            reconciler.slice = most
            for act in acts:
                act.do(root, saved)
            first = reconcile(reconciler)
            event(f"{len(first.plan.changes)} changes")
            assert not first.report.dropped
            assert reconcile(reconciler).plan.changes == ()

    in_new_root(check)


@settings(max_examples=EXAMPLES)
@given(
    before=st.lists(ACTS, max_size=8),
    after=st.lists(ACTS, max_size=6),
    most=SLICES,
    data=st.data(),
)
def test_i2_any_order_of_scopes_ends_where_one_whole_scan_ends(
    in_new_root: Callable[..., None],
    before: list[Act],
    after: list[Act],
    most: int,
    data: st.DataObject,
) -> None:
    def check(root: Path, saved: Saved) -> None:
        urls = [f"sqlite:///{root.parent}/{name}" for name in OTHERS]
        with reconciler_of(root, url=urls[0]) as whole, reconciler_of(root, url=urls[1]) as parts:
            for act in before:
                act.do(root, saved)
            reconcile(whole)
            parts.root = whole.root  # one root bears one marker
            reconcile(parts)
            parts.slice = most
            known = identities(whole)
            assert identities(parts) == known
            for act in after:
                act.do(root, saved)
            reconcile(whole)
            for scope in data.draw(st.permutations(_cover(root))) if most > 1 else [ROOT]:
                reconcile(parts, scope)
            assert contents(parts) == contents(whole)
            if not _reuses_a_path(before, after):
                # New rows get their numbers in the order in which they are seen.
                assert _of(identities(parts), known) == _of(identities(whole), known)

    in_new_root(check)


def _cover(root: Path) -> list[Scope]:
    """One scope for each folder there is or was: together they cover the root."""
    there = {
        os.path.relpath(folder, root).removeprefix(".")
        for folder, _, _ in os.walk(root)
        if "/." not in folder
    }
    return [folders([place]) for place in sorted(there | set(FOLDERS))]


def _reuses_a_path(before: list[Act], after: list[Act]) -> bool:
    """Whether a path may have been left and filled again by other content: seen one folder at a
    time that is an update of its row, and nothing on the disk says otherwise any more."""
    written = {act.at for act in before} | {act.to for act in before}
    return any(
        act.verb.startswith(("save", "copy", "move", "remove", "truncate", "lose"))
        and (act.at in written or act.to in written)
        for act in after
    )


def _of(found: dict[int, tuple[str, str]], known: dict[int, object]) -> dict[int, object]:
    return {model_id: found[model_id] for model_id in known}


def identities(reconciler: Reconciler) -> dict[int, tuple[str, str]]:
    found = reconciler.registry.models(Filter(states=()))
    return {row["model_id"]: (row["path"], row["state"]) for row in found}


@settings(max_examples=EXAMPLES)
@given(
    acts=st.lists(ACTS, min_size=1, max_size=10),
    hidden=st.sampled_from(["1h", "1h/ETH", "1h/BTC/LSTM", "4h"]),
    more=st.lists(ACTS, max_size=4),
)
def test_i3_nothing_under_a_blind_spot_turns_missing(
    in_new_root: Callable[..., None], acts: list[Act], hidden: str, more: list[Act]
) -> None:
    def check(root: Path, saved: Saved) -> None:
        with reconciler_of(root) as reconciler:
            for act in acts:
                act.do(root, saved)
            reconcile(reconciler)
            before = contents(reconciler)
            place, aside = root / hidden, root.parent / "aside"
            if not place.is_dir():
                return
            place.rename(aside)
            place.symlink_to(aside)  # reads on as before, for whoever follows it
            for act in more:
                if not act.at.startswith(hidden) and not act.to.startswith(hidden):
                    act.do(root, saved)
            reconcile(reconciler)
            after = contents(reconciler)
            under = {path for path in before if path.startswith(f"{hidden}/")}
            event(f"{len(under)} under the blind spot")
            assert {path: after.get(path) for path in under} == {
                path: before[path] for path in under
            }

    in_new_root(check)


@settings(max_examples=EXAMPLES)
@given(
    steps=st.lists(st.tuples(ACTS, st.lists(SCOPES, max_size=2)), max_size=10),
    most=SLICES,
)
def test_i7_whatever_became_of_the_events_one_whole_cycle_makes_registry_and_disk_equal(
    in_new_root: Callable[..., None], steps: list[tuple[Act, list[Scope]]], most: int
) -> None:
    """The scopes stand for events that came for something else, twice, late, or not at all."""

    def check(root: Path, saved: Saved) -> None:
        with reconciler_of(root) as reconciler:
            reconciler.slice = most
            for act, scopes in steps:
                act.do(root, saved)
                for scope in scopes:
                    reconcile(reconciler, scope)
            reconcile(reconciler)
            assert books(reconciler) == truth(root)

    in_new_root(check)
