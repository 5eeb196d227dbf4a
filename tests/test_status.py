"""``status``: the daemon, the disk, what was left over, and when the disk is full."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import RunningDaemon, Saved, rows
from tests.inline import Inline
from tests.test_explain import LSTM, House, configure, save_family, stamps
from tests.test_scan import as_ordinary_user
from watcherd import reconciler as reconciler_room
from watcherd.forecast import DAY, Figures, Ruled, forecast, forecast_ruled
from watcherd.naming import Naming
from watcherd.naming.foreign import foreign_file, foreign_folder
from watcherd.purging import measure_space
from watcherd.registry import iso, ns_of
from watcherd.survey import OLD, survey

GB = 10**9
NOW = 1_800_000_000_000_000_000


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the child reads is read here: it is not what these tests are about."""
    monkeypatch.setattr(reconciler_room, "Child", lambda *_, **__: Inline())


# -- the forecast, by its figures ------------------------------------------------------------------


class Growth(NamedTuple):
    """A week's figures in GB, and when the disk is full by them."""

    new: int
    gone: int
    free: int
    full_after_days: int | None
    why: str = ""


GROWTHS = {
    "a gigabyte a day, ten free": Growth(7, 0, 10, 10),
    "what went makes room": Growth(14, 7, 10, 10),
    "as much went as came": Growth(7, 7, 10, None, "what came is not more than what went"),
    "nothing came": Growth(0, 0, 10, None, "what came is not more than what went"),
    "more went than came": Growth(7, 21, 10, None, "what came is not more than what went"),
    "no space left": Growth(7, 0, 0, 0),
    "so much space that nobody can tell": Growth(7, 0, 4000, None, "not within ten years"),
}


@pytest.mark.parametrize("name", GROWTHS)
def test_the_disk_is_full_when_growth_has_used_up_what_is_free(name: str) -> None:
    growth = GROWTHS[name]
    figures = Figures(NOW, 0, growth.free * GB, growth.new * GB, growth.gone * GB)
    said = forecast(figures)
    assert said.per_day == (growth.new - growth.gone) * GB // 7
    days = growth.full_after_days
    assert said.full_at == (None if days is None else NOW + days * DAY)
    assert said.why == growth.why


@pytest.mark.parametrize("known_since", [None, NOW, NOW - DAY + 1])
def test_what_was_followed_for_less_than_a_day_gives_no_forecast(known_since: int | None) -> None:
    said = forecast(Figures(NOW, known_since, GB, GB, 0))
    assert (said.per_day, said.full_at) == (None, None)
    assert "not yet a day" in said.why


def test_a_young_registry_counts_the_days_that_it_knows() -> None:
    said = forecast(Figures(NOW, NOW - 2 * DAY, 10 * GB, 4 * GB, 0))
    assert (said.per_day, said.full_at) == (2 * GB, NOW + 5 * DAY)


class Rules(NamedTuple):
    """What the rules keep, in GB, and when the disk is full if they are applied."""

    kept: int
    kept_before: int
    gone: int
    removable: int
    full_after_days: int | None


RULED = {
    # Five of a family, each a gigabyte; seven came in the week.
    "never pruned so far": Rules(5, 5, 0, 7, None),
    "pruned all the time": Rules(5, 0, 5, 0, None),
    "pruned now and then": Rules(5, 2, 3, 2, None),
    "the rules keep all that came": Rules(7, 0, 0, 0, 10),
    "what they would remove now comes on top": Rules(7, 0, 0, 4, 14),
}


@pytest.mark.parametrize("name", RULED)
def test_the_rules_hold_it_back_where_what_they_keep_does_not_grow(name: str) -> None:
    rules = RULED[name]
    figures = Figures(NOW, 0, 10 * GB, 7 * GB, rules.gone * GB)
    ruled = Ruled(rules.kept * GB, rules.kept_before * GB, rules.removable * GB, trash=0)
    days = rules.full_after_days
    assert forecast_ruled(figures, ruled).full_at == (None if days is None else NOW + days * DAY)


# -- what was left over ----------------------------------------------------------------------------

TEMPORARY = [
    "cp-1.data-00000-of-00001.tempstate17",
    "checkpoint.tmp" + "0f" * 16,
    "part-00000-of-00001.index",
    "cp-1_temp/",
    "cp-1_temp_" + "0f" * 16 + "/",
    "7.orbax-checkpoint-tmp-1700000000/",
]
LASTING = ["events.out.tfevents.1.host", "m.h5_graph.png", "graph.pbtxt", "cp-1.index", "m.h5"]


@pytest.mark.parametrize("name", TEMPORARY)
def test_what_trainers_write_for_a_moment_is_left_over_after_a_day(root: Path, name: str) -> None:
    path = root / LSTM / name
    path.parent.mkdir(parents=True)
    path.mkdir() if name.endswith("/") else path.write_bytes(b"")
    modified = 1_700_000_000 * 10**9
    os.utime(path, ns=(modified, modified))
    root_fd = os.open(root, os.O_RDONLY)
    try:
        assert survey(root_fd, Naming(), now=modified + OLD).leftovers == []
        (found,) = survey(root_fd, Naming(), now=modified + OLD + 1).leftovers
    finally:
        os.close(root_fd)
    assert (found.path, found.modified_ns) == (f"{LSTM}/{name.rstrip('/')}", modified)


@pytest.mark.parametrize("name", LASTING)
def test_what_they_write_to_stay_is_never_left_over(name: str) -> None:
    found = foreign_file(name) or foreign_folder(name)
    assert found is None or not found.is_temporary


def test_a_look_without_time_says_that_it_did_not_see_all(root: Path) -> None:
    (root / "1h/BTC").mkdir(parents=True)
    root_fd = os.open(root, os.O_RDONLY)
    try:
        seen = survey(root_fd, Naming(), now=NOW, patience=-1.0)
        whole = survey(root_fd, Naming(), now=NOW)
    finally:
        os.close(root_fd)
    assert (seen.is_whole, seen.folders) == (False, 0)
    assert (whole.is_whole, whole.folders) == (True, 3)


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def house(root: Path, saved: Saved) -> House:
    """A root with a family, the oldest of which is in the trash."""
    house = House(root, *configure(root.parent))
    save_family(root, saved, 3)
    house.reconcile()
    assert house("prune", "--yes").status == 0
    return house


def test_it_tells_the_disk_and_the_trash(house: House) -> None:
    said = house("--json", "status").json()
    space = os.statvfs(house.root)
    assert said["disk"]["total_bytes"] == space.f_blocks * space.f_frsize
    assert 0 < said["disk"]["free_bytes"] < said["disk"]["total_bytes"]
    (entry,) = rows(house.root, "SELECT * FROM trash JOIN model USING (model_id)")
    assert said["trash"] == {
        "models": 1,
        "size_bytes": entry["size_bytes"],
        "next_expiry": entry["expires_at"],
    }
    assert said["schedule"] == {}
    assert said["forecast"]["full_at"] is None
    assert "not yet a day" in said["forecast"]["why"]


@pytest.mark.parametrize("words", [("status",), ("explain", LSTM)])
def test_its_lines_end_with_their_last_word(house: House, words: tuple[str, ...]) -> None:
    lines = house(*words).out.removesuffix("\n").split("\n")
    assert [line for line in lines if line != line.rstrip()] == []


def test_it_writes_nothing(house: House) -> None:
    before = stamps(house.root)
    assert (house("status").status, house("status", "--wait", "1").status) == (0, 0)
    assert stamps(house.root) == before


def test_without_a_daemon_a_look_finds_the_blind_spots(house: House, saved: Saved) -> None:
    saved.write_h5(house.root / "1h/SHUT/LSTM/m.h5")
    (house.root / "1h/SHUT").chmod(0)
    try:
        done = as_ordinary_user(
            "-m", "watcherd", *house.config, "--root", str(house.root), "status"
        )
    finally:
        (house.root / "1h/SHUT").chmod(0o755)
    assert done.returncode == 3
    assert "1h/SHUT: cannot be read: Permission denied" in done.stdout


def age(house: House, days: float, size: int) -> None:
    """A registry that began so many days ago, and models of this size that came since."""
    began = iso(time.time_ns() - int(days * DAY))
    path = house.root / ".watcherd/registry.db"
    with closing(sqlite3.connect(path)) as registry, registry:
        registry.execute(
            "INSERT INTO history (at, path, verb, cause, actor) "
            "VALUES (?, '', 'adopted', 'request', 'ada@here')",
            [began],
        )
        registry.execute("UPDATE model SET size_bytes = ?", [size])


def test_it_forecasts_from_what_came_and_what_went(house: House) -> None:
    free, _ = measure_space(str(house.root))
    age(house, days=2, size=free // 200)
    ahead = house("--json", "status").json()["forecast"]
    assert (ahead["new_bytes"], ahead["gone_bytes"]) == (free // 200 * 2, 0)
    assert ahead["bytes_per_day"] == pytest.approx(free // 200, rel=0.01)
    assert ns_of(ahead["full_at"]) == pytest.approx(time.time_ns() + 200 * DAY, abs=10 * DAY)
    assert ahead["pruned"]["kept_bytes"] == free // 200 * 2
    assert (ahead["pruned"]["kept_before_bytes"], ahead["pruned"]["holds"]) == (0, False)


def test_what_the_rules_remove_does_not_fill_the_disk(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent, dry_run=True))
    save_family(root, saved, 4)
    house.reconcile()
    free, _ = measure_space(str(root))
    age(house, days=8, size=free // 100)
    with closing(sqlite3.connect(root / ".watcherd/registry.db")) as registry, registry:
        # Two were there before the week began: what the rules keep of four is as much as of two.
        before = iso(time.time_ns() - 8 * DAY)
        registry.execute(
            "UPDATE model SET first_seen_at = :at, placed_at = :at, modified_at = :at "
            "WHERE step <= 2",
            {"at": before},
        )
    pruned = house("--json", "status").json()["forecast"]["pruned"]
    assert (pruned["kept_bytes"], pruned["kept_before_bytes"]) == (free // 100 * 2,) * 2
    assert (pruned["removable_bytes"], pruned["holds"]) == (free // 100 * 2, True)
    assert pruned["why"] == "retention.dry_run is true: nothing is pruned until it is false"


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_the_terminal(house: House, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    age(house, days=3, size=measure_space(str(house.root))[0] // 200)
    told = house("status").out
    assert max(map(len, told.splitlines())) <= columns
    assert [line.split()[0] for line in told.splitlines() if not line.startswith(" ")] == [
        *("daemon", "root", "registry", "models"),
        *("trash", "disk", "growth", "full", "pruning"),
    ]


def test_beside_a_daemon_it_tells_when_it_looks_and_prunes_next(
    root: Path, saved: Saved, start_daemon: Callable[..., RunningDaemon]
) -> None:
    save_family(root, saved, 3)
    config = configure(root.parent)
    start_daemon(root, settings=Path(config[1]).read_text())
    house = House(root, *config)
    said = house("--json", "status", "--wait", "30").json()
    for job in ("reconcile", "prune"):
        assert 0 < ns_of(said["schedule"][job]) / 1e9 - time.time() <= 3600
    assert said["blind"] == {}
    fate = house.explain(f"{LSTM}/cp-1")["fate"]
    assert (fate["standing"], fate["notes"]) == ("leaving", [])
    assert fate["until"] == said["schedule"]["prune"]


def test_a_daemon_that_waits_for_its_root_runs(
    root: Path, saved: Saved, start_daemon: Callable[..., RunningDaemon]
) -> None:
    url = f"sqlite:///{root.parent}/registry.db"
    saved.write_h5(root / f"{LSTM}/m.h5")
    daemon = start_daemon(root, "--registry", url)
    daemon.wait_for("model.registered")
    root.rename(root.with_name("away"))
    daemon.wait_for("root.suspended")
    house = House(root, "--registry", url)
    done = house("--json", "status")
    said = done.json()
    assert (done.status, said["daemon"]["running"]) == (10, True)
    assert said["daemon"]["pid"] == daemon.process.pid
    assert "is not there" in said["root"]["suspended"]
    daemon.process.kill()
    daemon.process.wait()
    assert house("--json", "status").json()["daemon"] == {"running": False}
