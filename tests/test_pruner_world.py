"""What the world says against removing a model: links, other processes, mounts, blind spots."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Saved
from tests.inline import reconcile, reconciler_of
from tests.pruning import FOLDER, POLICY, prune, save, states
from watcherd import trashing
from watcherd.guards import find_held
from watcherd.naming import Naming
from watcherd.plan import Verdict
from watcherd.pruner import Pruner
from watcherd.reconciler import Reconciler
from watcherd.retention import Rule
from watcherd.scope import Cause


@pytest.fixture
def reconciler(root: Path) -> Iterator[Reconciler]:
    with reconciler_of(root) as reconciler:
        yield reconciler


@pytest.fixture
def pruner(reconciler: Reconciler) -> Pruner:
    return Pruner(reconciler, replace(POLICY, rules=(Rule(1),), max_prune_fraction=1.0))


@pytest.fixture
def three(root: Path, saved: Saved, reconciler: Reconciler) -> list[str]:
    prefixes = save(root, saved, 3)
    reconcile(reconciler)
    return prefixes


def verdict_of(pruner: Pruner, path: str) -> Verdict:
    (found,) = (one for one in pruner.decide() if one.candidate.path == path)
    return found


LINKS: dict[str, tuple[str, str]] = {
    "to a file of it": ("latest.index", "ckpt-1.index"),
    "to its prefix, where nothing is": ("latest", "ckpt-1"),
    "to its folder": ("../best", "LSTM"),
    "to a folder above": ("../../../best", "1h/BTC"),
    "by an absolute path": ("latest.index", "ROOT/1h/BTC/LSTM/ckpt-1.index"),
    "through another link": ("newer.index", "latest.index"),
}


@pytest.mark.parametrize("name", LINKS)
def test_what_a_symlink_leads_to_is_kept(
    root: Path, three: list[str], pruner: Pruner, reconciler: Reconciler, name: str
) -> None:
    link, target = LINKS[name]
    (root / FOLDER / "latest.index").unlink(missing_ok=True)
    if name == "through another link":
        (root / FOLDER / "latest.index").symlink_to("ckpt-1.index")
    (root / FOLDER / link).symlink_to(target.replace("ROOT", str(root)))
    reconcile(reconciler)
    assert verdict_of(pruner, three[0]).keep
    assert any("symlink" in why for why in verdict_of(pruner, three[0]).reasons)
    assert three[0] not in [one.candidate.path for one in prune(pruner)]
    assert states(root)["ckpt-1"] == "present"


@pytest.mark.parametrize("target", ["elsewhere", "../nothing", "/etc", "."])
def test_a_symlink_to_something_else_keeps_nothing(
    root: Path, three: list[str], pruner: Pruner, reconciler: Reconciler, target: str
) -> None:
    (root / "link").symlink_to(target)
    reconcile(reconciler)
    assert len(prune(pruner)) == 2


ABOVE: dict[str, tuple[str, str]] = {
    "relative, as CheckpointManager(checkpoint_name=...) writes it": ("1h/BTC", "LSTM/ckpt-1"),
    "relative, from the root": ("", "1h/BTC/LSTM/ckpt-1"),
    "relative, with dots": ("1h/BTC", "../BTC/./LSTM/ckpt-1"),
    "absolute": ("1h", "ROOT/1h/BTC/LSTM/ckpt-1"),
    "absolute, by a symlink to the root": ("1h", "LINK/1h/BTC/LSTM/ckpt-1"),
    "with the wildcards of shards": ("1h", "BTC/LSTM/ckpt-1-?????-of-00001"),
}


@pytest.mark.parametrize("name", ABOVE)
def test_what_a_state_file_in_a_folder_above_names_is_kept(
    root: Path, three: list[str], pruner: Pruner, tmp_path: Path, name: str
) -> None:
    folder, path = ABOVE[name]
    (tmp_path / "link").symlink_to(root)
    path = path.replace("ROOT", str(root)).replace("LINK", f"{tmp_path}/link")
    (root / folder / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')
    assert [one.candidate.path for one in prune(pruner)] == [three[1]]
    assert verdict_of(pruner, three[0]).reasons == (
        f"named by the state file {f'{folder}/checkpoint'.lstrip('/')}: a trainer resumes from it",
    )


def test_a_state_file_above_that_cannot_be_read_protects_all_below_it(
    root: Path, three: list[str], pruner: Pruner
) -> None:
    """A symlink is never followed, but TensorFlow would."""
    (root / "1h/checkpoint").symlink_to("BTC/checkpoint")
    assert prune(pruner) == []
    assert verdict_of(pruner, three[0]).reasons == (
        "the state file 1h/checkpoint cannot be read, and may name it",
    )


@pytest.mark.parametrize(
    "text", ["", "/etc/passwd", "../../../../ckpt-1", "ckpt-1", r"\000/ckpt-1", None]
)
def test_what_names_nothing_here_keeps_nothing(
    root: Path, three: list[str], pruner: Pruner, text: str | None
) -> None:
    """None: a folder of that name, as Orbax makes."""
    place = root / "1h/checkpoint"
    if text is None:
        place.mkdir()
    else:
        place.write_text(f'model_checkpoint_path: "{text}"\n')
    assert len(prune(pruner)) == 2


def test_what_another_process_has_open_is_kept_and_the_process_named(
    root: Path, three: list[str], pruner: Pruner
) -> None:
    shard = next(root.glob(f"{three[0]}.data*"))
    code = "import sys; f = open(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, shard],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as reader:  # fmt: skip
        assert reader.stdout is not None
        reader.stdout.readline()
        verdict = verdict_of(pruner, three[0])
        pruned = pruner.prune(Cause.TIMER)
        reader.communicate("\n")
    assert verdict.reasons[0].startswith(f"open in process {reader.pid} (")
    assert [one.candidate.path for one in pruned.trashed] == [three[1]]
    assert [one.candidate.path for one in prune(pruner)] == [three[0]]


def test_what_the_settings_ignore_by_now_is_kept(
    root: Path, three: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    reconciler.naming = Naming(ignore=("ckpt-1.*",))
    assert [one.candidate.path for one in prune(pruner)] == [three[1]]
    assert verdict_of(pruner, three[0]).reasons == ("ignored by ckpt-1.*",)


def test_a_model_on_a_mount_of_its_own_fails_before_anything_is_touched(
    root: Path, saved: Saved, three: list[str], pruner: Pruner, reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The kernel's list of mounts, with one more."""
    other = save(root, saved, 2, "4h/ETH/LSTM")
    reconcile(reconciler)
    monkeypatch.setattr(trashing, "mounts_below", lambda _: frozenset({"4h/ETH"}))
    pruned = pruner.prune(Cause.TIMER)
    ((verdict, why),) = pruned.failed
    assert verdict.candidate.path == other[0]
    assert "4h/ETH is another mount than the one that the trash lies on" in why
    assert {one.candidate.path for one in pruned.trashed} == set(three[:2])
    assert states(root)["ckpt-1"] in ("present", "trashed")
    assert (root / f"{other[0]}.index").exists()


def test_under_a_blind_spot_nothing_goes_and_the_reason_is_told(
    root: Path, three: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    """A folder that was a mount point and is none now may be anything."""
    reconciler.mounts = frozenset({"1h/BTC"})
    pruned = pruner.prune(Cause.TIMER)
    assert pruned.trashed == ()
    kept = {one.candidate.path: one.reasons for one in pruned.verdicts}
    assert kept[three[0]] == (
        "could not be looked at: 1h/BTC: a mount point that is none now: is it mounted?",
    )


def test_nothing_goes_that_was_not_looked_at_although_the_look_changed_the_decision(
    root: Path, saved: Saved, three: list[str], pruner: Pruner, reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The look finds a newer one, by which one more has to go: that one is asked about, too."""
    asked: list[str] = []

    def then_save(reconciler: Reconciler, some: Sequence[Any], cycles: Any) -> Any:
        asked.extend(one.path for one in some)
        if len(asked) == 2:
            saved.write_checkpoint(root / FOLDER / "ckpt-4", 3)
            reconcile(reconciler)
        return find_held(reconciler, some, cycles)

    monkeypatch.setattr("watcherd.pruner.find_held", then_save)
    assert sorted(one.candidate.path for one in prune(pruner)) == three
    assert sorted(asked) == three


def test_decide_looks_at_nothing_on_the_disk(
    root: Path, three: list[str], pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(pruner.reconciler, "cycle", fail)
    before = [one.candidate.path for one in pruner.decide() if not one.keep]
    assert before == three[:2]
