"""The command line: statuses, JSON, what is printed where, and what each command looks at.

Most calls run in this process, and read models in it, too: a process costs a hundred times more.
"""

import io
import json
import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from tests.conftest import Saved, rows, watcherd
from tests.inline import Inline, reconcile, reconciler_of
from watcherd import lock, status
from watcherd import reconciler as reconciler_room
from watcherd.cli import app, main
from watcherd.registry import Mode, Registry
from watcherd.scope import ROOT, Cause, Request

# -- calling the program ---------------------------------------------------------------------------


class Done(NamedTuple):
    """How a call ended, and what it printed."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


def call(*words: str) -> Done:
    """The program with these words, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    status = 0
    argv = patch.object(sys, "argv", ["watcherd", *words])
    with argv, redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return Done(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))


SETTINGS = """
[watch]
settle = "1ms"
[retention]
min_age = "0s"
max_prune_count = 2
max_prune_fraction = 0.5
min_free_space = "0B"
[[retention.rule]]
match = { format = "checkpoint" }
max_to_keep = 1
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that wait for nothing, reading in this process, and nothing of the caller's."""
    config = tmp_path / "config.toml"
    config.write_text(SETTINGS)
    monkeypatch.setenv("WATCHERD_CONFIG", str(config))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(reconciler_room, "Child", lambda *_, **__: Inline())


H5, NAMED, CHECKPOINT = "1h/BTC/LSTM/m.h5", "4h/ETH/GRU/epoch-7.h5", "1h/BTC/LSTM/ckpt-3"
ODD = "1h/\x1b[31mRED\n/LSTM/[b]x[/b]\t한.h5"


@pytest.fixture(scope="session")
def new_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that knows nothing: making its schema takes longer than most of these tests."""
    path = tmp_path_factory.mktemp("registry") / "registry.db"
    Registry(f"sqlite:///{path}", Mode.CREATE).close()
    return path


def fill(root: Path, saved: Saved, new_registry: Path) -> Path:
    """Four things, and a registry that knows them: three models, and text named .h5."""
    (root / ".watcherd").mkdir(parents=True)
    shutil.copyfile(new_registry, root / ".watcherd/registry.db")
    saved.write_h5(root / H5)
    saved.write_h5(root / NAMED, 1)
    saved.write_checkpoint(root / CHECKPOINT, 2)
    (root / "loose.h5").write_text("text")
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    return root


@pytest.fixture
def used(root: Path, saved: Saved, new_registry: Path) -> Path:
    """A models root that a test may change."""
    return fill(root, saved, new_registry)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, saved: Saved, new_registry: Path) -> Path:
    """A models root that no test changes."""
    return fill(tmp_path_factory.mktemp("kept") / "models", saved, new_registry)


def at(root: Path, *words: str) -> Done:
    return call("--root", str(root), *words)


def paths(done: Done) -> list[str]:
    return [row["path"] for row in done.json()]


# -- help ------------------------------------------------------------------------------------------

STATUSES: dict[tuple[str, ...], set[int]] = {
    ("run",): {11},
    ("reconcile",): {3, 4, 10, 12},
    ("prune",): {3, 10, 11},
    ("restore",): {3, 10, 12},
    ("rm",): {3, 10, 11, 12},
    ("trash", "list"): set(),
    ("trash", "purge"): {3, 10, 12},
    ("list",): set(),
    ("show",): {12},
    ("history",): {12},
    ("explain",): {10, 12},
    ("status",): {3, 10},
    ("config", "check"): set(),
    ("config", "show"): set(),
    ("pin",): {3, 12},
    ("unpin",): {3, 12},
    ("tag",): {12},
    ("untag",): {12},
    ("alias",): {11, 12},
    ("unalias",): {12},
    ("note",): {12},
    ("record",): {11, 12},
    ("ensemble", "add"): {3, 10, 12},
    ("ensemble", "remove"): {3, 10, 11, 12},
    ("ensemble", "list"): set(),
    ("verify",): {3, 10, 12},
}
"""Command -> the statuses beyond those of every command."""
NEEDED: dict[tuple[str, ...], tuple[str, ...]] = {
    **dict.fromkeys(
        [("show",), ("explain",), ("restore",), ("rm",), ("trash", "purge"), ("pin",), ("unpin",)],
        ("1",),
    ),
    **dict.fromkeys([("tag",), ("untag",), ("alias",), ("unalias",), ("note",)], ("1", "word")),
    ("record",): ("1", "sharpe=1"),
    ("ensemble", "add"): ("1", "--type", "ensemble_a"),
    ("ensemble", "remove"): ("1",),
}
"""Command -> the words that it cannot do without."""
OF_ALL = {0, 1, 2, 78, 130}


def test_every_command_is_in_the_table() -> None:
    from typer.main import get_command

    names = {
        (name, *([below] if below else []))
        for name, one in get_command(app).commands.items()  # type: ignore[attr-defined]
        for below in (getattr(one, "commands", None) or [""])
    }
    assert names == set(STATUSES)


@pytest.mark.parametrize("command", STATUSES, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_the_exit_statuses(command: tuple[str, ...], option: str) -> None:
    done = call(*command, option)
    assert (done.status, done.err) == (0, "")
    said = " ".join(done.out.split())
    _, _, told = said.partition("Exit status: ")
    assert set(map(int, re.findall(r"(?:^|· )(\d+) ", told))) == OF_ALL | STATUSES[command]
    assert "--json" in said
    assert "--root" in said


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("pin", "[OPTIONS] MODEL..."),
        ("reconcile", "[OPTIONS] [PATH]..."),
        ("record", "[OPTIONS] MODEL METRIC=VALUE..."),
        ("trash purge", "[OPTIONS] [MODEL]..."),
        ("list", "[OPTIONS]"),
    ],
)
def test_help_has_the_words_of_people_and_not_of_types(
    monkeypatch: pytest.MonkeyPatch, command: str, usage: str, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    said = call(*command.split(), "--help").out
    (line,) = (line for line in said.splitlines() if "Usage:" in line)
    assert line.rstrip().endswith(f"{command} {usage}")
    assert not re.search(r"<(bool|str|list)", said)


def test_without_a_command_the_commands_are_listed() -> None:
    done = call()
    assert all(command[0] in done.out + done.err for command in STATUSES)
    assert call("--help").status == 0


def test_the_version_stands_alone() -> None:
    done = call("--version")
    assert done.status == 0
    assert re.fullmatch(r"watcherd \d+\.\d+\.\d+\n", done.out)


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["list", "--state", "all"],
        ["show", "1"],
        ["history"],
        ["status"],
        ["status", "--wait", "0"],
        ["config", "check"],
        ["config", "show"],
        ["reconcile", "--dry-run"],
        ["reconcile"],
        ["prune", "--dry-run"],
    ],
    ids=" ".join,
)
def test_json_is_one_document_and_options_stand_before_or_after(
    used: Path, command: list[str]
) -> None:
    before = call("--root", str(used), "--json", *command)
    after = call(*command, "--json", "--root", str(used))
    mixed = call("--json", *command, "--root", str(used))
    assert (before.status, before.err) == (after.status, after.err) == (mixed.status, "") == (0, "")
    documents = [without_times(done.json()) for done in (before, after, mixed)]
    assert documents[0] == documents[1] == documents[2]
    plain = at(used, *command)
    assert plain.out
    assert plain.out[0] not in "[{"


@pytest.mark.parametrize("words", ["trash list", "ensemble list", "config show"])
def test_options_stand_between_the_words_of_a_command_too(kept: Path, words: str) -> None:
    first, second = words.split()
    between = call(first, "--root", str(kept), "--json", second)
    assert (between.status, between.err) == (0, "")
    assert between.json() == at(kept, "--json", first, second).json()


def without_times(said: Any) -> Any:
    """Without what another process, or time, may change between two calls."""
    passing = dict.fromkeys(("seconds", "disk", "forecast"))
    return {**said, **passing} if isinstance(said, dict) else said


def test_a_registry_s_path_may_begin_with_more_than_one_slash(kept: Path) -> None:
    """As where a script puts an absolute path behind ``sqlite:////``."""
    url = f"sqlite:////{kept}/.watcherd/registry.db"
    assert call("--root", str(kept), "--registry", url, "list").status == 0


def test_an_option_after_the_command_wins(kept: Path, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert call("--root", nowhere, "list", "--root", str(kept)).status == 0
    assert call("--root", str(kept), "list", "--root", nowhere).status == 1
    url = f"sqlite:///{kept}/.watcherd/registry.db"
    assert call("--root", nowhere, "--registry", url, "list").status == 0
    assert call("--root", nowhere, "list", "--registry", url).status == 0


def test_a_settings_file_is_named_by_option_or_surroundings(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "other.toml"
    config.write_text(f'[models]\nroot = "{kept}"\n')
    assert len(paths(call("--config", str(config), "--json", "list"))) == 3
    assert len(paths(call("list", "--json", "--config", str(config)))) == 3
    monkeypatch.setenv("WATCHERD_CONFIG", str(config))
    assert len(paths(call("list", "--json"))) == 3


# -- statuses --------------------------------------------------------------------------------------


def test_status_0_done(kept: Path) -> None:
    assert at(kept, "list").status == 0


@pytest.mark.parametrize("command", [["list"], ["show", "1"], ["history"], ["status"]])
def test_status_1_where_there_is_no_registry(root: Path, command: list[str]) -> None:
    assert at(root, *command).status == 1


@pytest.mark.parametrize(
    "words",
    [
        ["nosuchcommand"],
        ["list", "--nosuchoption"],
        ["list", "--limit", "-1"],
        ["list", "--limit", "many"],
        ["list", "--sort", "nosuchcolumn"],
        ["list", "--sort", "-"],
        ["list", "--sort", ""],
        ["list", "--state", "nosuchstate"],
        ["list", "--state", "present,"],
        ["list", "extra"],
        ["show"],
        ["show", "1", "2"],
        ["show", "/etc/passwd"],
        ["show", "../outside.h5"],
        ["reconcile", "/etc"],
        ["reconcile", "--reread=7"],
        ["history", "--since", "yesterday"],
        pytest.param(["history", "--since", ""]),
        ["history", "--since", "0001-01-01"],
        ["history", "--since", "2026-13-01"],
        ["history", "--limit", "0"],
        ["status", "--wait", "-1"],
        ["status", "--wait", "soon"],
        ["restore"],
        ["rm"],
        ["trash", "purge"],
        ["trash", "purge", "--all", "1"],
        ["trash", "purge", "--older-than", "soon"],
        ["config"],
        ["config", "nosuchcommand"],
    ],
    ids=" ".join,
)
def test_status_2_for_words_that_make_no_sense(kept: Path, words: list[str]) -> None:
    done = at(kept, *words)
    assert done.status == 2
    assert done.err or words == ["config"]
    assert "Traceback" not in done.err


def test_status_3_where_registry_and_disk_differ_in_the_end(used: Path, saved: Saved) -> None:
    saved.write_h5(used / "1h/BTC/LSTM/new.h5", 3)
    done = at(used, "--json", "status", "--wait", "0.2")
    assert done.status == 3
    assert done.json()["differing"] == [{"verb": "registered", "path": "1h/BTC/LSTM/new.h5"}]


def test_status_3_where_a_prune_met_a_blind_spot_under_which_nothing_goes(
    used: Path, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that was a mount point and is none now."""
    saved.write_checkpoint(used / "1h/BTC/LSTM/ckpt-4", 3)
    with monkeypatch.context() as mounted:
        mounted.setattr(reconciler_room, "mounts_below", lambda _: frozenset({"1h/BTC"}))
        assert at(used, "reconcile").status == 0
        assert at(used, "--json", "prune", "--dry-run").json()["removed"] == 1
    done = at(used, "prune")
    assert (done.status, (used / f"{CHECKPOINT}.index").exists()) == (3, True)
    assert "not looked at: 1h/BTC: a mount point that is none now" in done.out
    assert list(at(used, "--json", "prune").json()["blind"]) == ["1h/BTC"]


def test_status_3_where_one_of_several_could_not_be_restored(used: Path, saved: Saved) -> None:
    saved.write_checkpoint(used / "1h/BTC/LSTM/ckpt-4", 3)
    assert at(used, "prune").status == 0
    done = at(used, "--json", "restore", CHECKPOINT, H5)
    assert done.status == 3
    assert [one["restored"] for one in done.json()] == [True, False]
    assert "not in the trash" in done.json()[1]["error"]


def test_status_4_where_a_dry_run_found_differences(used: Path, saved: Saved) -> None:
    saved.write_h5(used / "1h/BTC/LSTM/new.h5", 3)
    assert at(used, "reconcile", "--dry-run").status == 4
    assert at(used, "reconcile").status == 0
    assert at(used, "reconcile", "--dry-run").status == 0


@pytest.mark.parametrize("fault", ["gone", "a file", "a symlink", "without its marker", "another"])
def test_status_10_where_the_root_is_not_the_one_that_was(
    used: Path, tmp_path: Path, fault: str
) -> None:
    url = f"sqlite:///{tmp_path}/registry.db"
    assert at(used, "--registry", url, "reconcile").status == 0
    before = rows_of(tmp_path / "registry.db")
    marker = used / ".watcherd/root.json"
    if fault == "without its marker":
        marker.unlink()
    elif fault == "another":
        marker.write_text(json.dumps({"uuid": "x", "registry": "y", "host": "z"}))
    else:
        used.rename(tmp_path / "aside")
        if fault == "a file":
            used.write_text("")
        elif fault == "a symlink":
            used.symlink_to(tmp_path / "elsewhere")
    for command in ("reconcile", "reconcile --dry-run", "prune", "status"):
        done = at(used, "--registry", url, *command.split())
        assert done.status == 10, command
        if command != "status":
            assert done.out == ""
            assert "  → " in done.err
    assert rows_of(tmp_path / "registry.db") == before


def test_status_10_for_what_can_only_be_restored_to_a_root_that_is_there(
    used: Path, saved: Saved, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/registry.db"
    saved.write_checkpoint(used / "1h/BTC/LSTM/ckpt-4", 3)
    assert at(used, "--registry", url, "reconcile").status == 0
    assert at(used, "--registry", url, "prune", "--yes").status == 0
    used.rename(tmp_path / "aside")
    done = at(used, "--registry", url, "restore", CHECKPOINT)
    assert (done.status, done.out) == (10, "")
    (tmp_path / "aside").rename(used)
    assert at(used, "--registry", url, "restore", CHECKPOINT).status == 0
    assert (used / f"{CHECKPOINT}.index").exists()


def rows_of(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT path, state, revision FROM model").fetchall()


def test_status_11_for_a_mass_prune_without_a_person_s_word(used: Path, saved: Saved) -> None:
    for number in range(4, 9):
        saved.write_checkpoint(used / f"1h/BTC/LSTM/ckpt-{number}", number % 4)
    refused = at(used, "prune")
    assert refused.status == 11
    assert refused.out == ""
    assert "--yes" in refused.err
    assert all((used / f"1h/BTC/LSTM/ckpt-{number}.index").exists() for number in range(3, 9))
    assert at(used, "prune", "--yes").status == 0
    left = sorted(path.name for path in (used / "1h/BTC/LSTM").glob("*.index"))
    assert left == ["ckpt-8.index"]


def test_a_prune_that_is_refused_removes_nothing_for_good_either(
    used: Path, saved: Saved, tmp_path: Path
) -> None:
    config = tmp_path / "soon.toml"
    config.write_text(SETTINGS.replace("[retention]", '[retention]\ntrash_for = "0s"'))
    assert at(used, "--config", str(config), "rm", H5).status == 0
    for number in range(4, 9):
        saved.write_checkpoint(used / f"1h/BTC/LSTM/ckpt-{number}", number % 4)
    assert at(used, "--config", str(config), "prune").status == 11
    assert [one["path"] for one in at(used, "--json", "trash").json()] == [H5]


def test_status_11_for_a_second_daemon(used: Path) -> None:
    with lock.hold(used / ".watcherd" / status.LOCK):
        done = watcherd(used, "run", check=False)
    assert done.returncode == 11
    assert str(os.getpid()) in done.stderr
    assert "  → " in done.stderr


@pytest.mark.parametrize(
    "name", ["77", "1h/BTC/LSTM/none.h5", "none", ".", "1h", "m.h5", "ckpt-3.index"]
)
@pytest.mark.parametrize("command", ["show", "history", "restore"])
def test_status_12_for_a_model_that_nobody_knows(kept: Path, command: str, name: str) -> None:
    done = at(kept, command, name)
    assert done.status == 12
    assert done.out == ""
    assert "  → " in done.err


@pytest.mark.parametrize(
    ("name", "hint"),
    [("nothing", "watcherd list shows"), ("1h/BTC", "watcherd explain 1h/BTC says what it is")],
)
@pytest.mark.parametrize("command", ["pin", "rm", "restore"])
def test_of_one_name_and_of_several_the_next_step_is_told(
    used: Path, command: str, name: str, hint: str
) -> None:
    alone, among = at(used, command, name), at(used, command, "77", name)
    assert f"no model '{name}'\n  → {hint}" in alone.err
    assert f"no model '{name}' → {hint}" in among.out


@pytest.mark.parametrize("command", ["prune", "restore 1", "rm 1"])
def test_of_a_root_that_is_not_there_the_root_is_told(tmp_path: Path, command: str) -> None:
    done = at(tmp_path / "nowhere", *command.split())
    assert done.status == 10
    assert "nowhere is not there" in done.err
    assert "  → mount its disk, make the folder, or correct models.root (--root)" in done.err


@pytest.mark.parametrize("root", ["nowhere", "config.toml"])
def test_who_only_reads_learns_that_the_root_is_no_folder(tmp_path: Path, root: str) -> None:
    done = at(tmp_path / root, "list")
    assert done.status == 1
    assert f"there is no registry at {tmp_path}/{root}/.watcherd/registry.db" in done.err
    assert f"  → there is no folder {tmp_path}/{root} either: check models.root" in done.err


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
@pytest.mark.parametrize(
    ("option", "status"), [("--root", 10), ("--config", 78)], ids=["the root", "the settings"]
)
def test_what_may_not_be_read_is_no_wrong_usage(tmp_path: Path, option: str, status: int) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(0)
    # Whoever runs the tests may not read it: the owner has no right, root no longer its privilege.
    humble = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] * (os.geteuid() == 0)
    program = [*humble, sys.executable, "-m", "watcherd"]
    done = subprocess.run([*program, option, locked, "reconcile"], capture_output=True, text=True)
    assert done.returncode == status
    assert f"{locked}" in done.stderr
    assert "Permission denied" in done.stderr
    assert "  → " in done.stderr


@pytest.mark.parametrize("best", ["sharpe:biggest", "sharpe:", ":"])
def test_a_mode_of_best_is_min_or_max(kept: Path, best: str) -> None:
    done = at(kept, "list", "--best", best)
    assert done.status == 2
    assert "MODE is min or max" in done.err


@pytest.mark.parametrize("command", ["show", "restore", pytest.param("history")])
def test_status_12_for_no_name_at_all(kept: Path, command: str) -> None:
    """As of a variable that a script forgot to set."""
    assert at(kept, command, "").status == 12


@pytest.mark.parametrize("name", ["9" * 30, os.fsdecode(b"\xff.h5")], ids=["30 digits", "no UTF-8"])
@pytest.mark.parametrize("command", ["show", "history", "restore"])
def test_status_12_for_a_name_that_no_registry_can_hold(
    kept: Path, command: str, name: str
) -> None:
    assert at(kept, command, name).status == 12


@pytest.mark.parametrize("command", STATUSES, ids=" ".join)
def test_status_78_for_settings_with_faults_all_at_once(
    kept: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    config = tmp_path / "bad.toml"
    config.write_text('[watch]\nsettel = "1s"\n[retention]\nmin_age = 5\n')
    done = at(kept, "--config", str(config), *command, *NEEDED.get(command, ()))
    assert done.status == 78
    assert done.out == ""
    assert "watch.settel" in done.err
    assert "retention.min_age = 5" in done.err


def test_status_78_without_any_root_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHERD_CONFIG")
    done = call("list")
    assert done.status == 78
    assert done.err.startswith(
        "watcherd: no models root is named\n  → give --root DIR or --config FILE"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["show", "none"],
        ["list", "--sort", "none"],
        ["reconcile", "/etc"],
        ["prune", "--config", "none"],
        ["restore", H5],
        ["history", "none"],
    ],
    ids=" ".join,
)
def test_errors_go_to_standard_error_with_a_next_step_also_with_json(
    kept: Path, words: list[str]
) -> None:
    for done in (at(kept, *words), at(kept, "--json", *words)):
        assert done.status not in (0, 4)
        assert done.out == ""
        first, *rest = done.err.splitlines()
        assert first.startswith("watcherd: ")
        assert rest[-1].startswith("  → ")


def test_on_a_terminal_an_error_wraps_at_words_and_else_not_at_all(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.openpty()
    termios.tcsetwinsize(writer, (24, 40))
    argv = ["watcherd", "--root", str(kept), "show", "a-name-that-no-model-of-this-registry-has"]
    monkeypatch.setattr(sys, "argv", argv)
    with os.fdopen(writer, "w") as terminal, redirect_stderr(terminal), pytest.raises(SystemExit):
        main()
    said = bytearray()
    with suppress(OSError):  # EIO: the end of a terminal (pty(7))
        while some := os.read(reader, 4096):
            said += some
    os.close(reader)
    lines = said.decode().splitlines()
    assert lines[-3:] == [
        "  → watcherd list shows what it knows;",
        "    watcherd reconcile looks at the disk",
        "    again",
    ]
    assert len(at(kept, *argv[3:]).err.splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "meant"), [("stepp", "did you mean step or"), ("tikcer", "ticker?"), ("xyzzy", "")]
)
def test_of_a_column_that_is_not_there_the_close_ones_are_told(
    kept: Path, name: str, meant: str
) -> None:
    done = at(kept, "list", "--sort", name)
    assert done.status == 2
    assert meant in done.err
    assert ("did you mean" in done.err) == bool(meant)
    assert len(done.err) < 400


def test_an_alias_is_told_as_it_is_to_be_written(used: Path) -> None:
    assert at(used, "alias", H5, "best").out == f"{H5}: 1h/BTC/LSTM@best now\n"
    assert at(used, "show", "1h/BTC/LSTM@best").status == 0
    assert at(used, "alias", "loose.h5", "odd").out == "loose.h5: @odd now\n"
    assert at(used, "show", "@odd").status == 0
    assert at(used, "unalias", H5, "none").out == f"{H5}: has no alias none\n"


# -- reconcile -------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(root: Path, saved: Saved) -> None:
    saved.write_h5(root / H5)
    first = at(root, "--json", "reconcile", "--dry-run")
    assert first.status == 4
    (change,) = first.json()["changes"]
    assert (change["verb"], change["path"], first.json()["dry_run"]) == ("registered", H5, True)
    assert rows(root) == rows(root, "SELECT * FROM history") == []
    assert not (root / ".watcherd/root.json").exists()
    assert "nothing was written" in at(root, "reconcile", "--dry-run").out


def test_a_dry_run_of_what_is_known_changes_no_row(used: Path, saved: Saved) -> None:
    before = rows(used), rows(used, "SELECT * FROM history"), rows(used, "SELECT * FROM model_file")
    saved.write_h5(used / H5, 3)
    (used / NAMED).unlink()
    (used / "loose.h5").rename(used / "moved.h5")
    done = at(used, "--json", "reconcile", "--dry-run")
    verbs = {one["path"]: (one["verb"], one["from_path"]) for one in done.json()["changes"]}
    assert verbs == {
        H5: ("updated", None), NAMED: ("missing", None), "moved.h5": ("moved", "loose.h5")
    }  # fmt: skip
    after = rows(used), rows(used, "SELECT * FROM history"), rows(used, "SELECT * FROM model_file")
    assert after == before


def test_it_prints_what_differed_and_then_that_nothing_does(root: Path, saved: Saved) -> None:
    saved.write_h5(root / H5)
    (root / "text.h5").write_text("text")
    done = at(root, "reconcile")
    assert "registered" in done.out
    assert "text, not HDF5" in done.out
    assert "1 registered, 1 unreadable" in done.out
    assert "registry and disk agree" in at(root, "reconcile").out


@pytest.mark.parametrize(
    ("named", "seen"),
    [
        (["1h/A"], {"1h/A/L/1.h5", "1h/A/L/deep/2.h5"}),
        (["1h/A/"], {"1h/A/L/1.h5", "1h/A/L/deep/2.h5"}),
        (["1h/A/L/1.h5"], {"1h/A/L/1.h5"}),
        (["1h/B/L/c-1.index"], {"1h/B/L/c-1"}),
        (["1h/B/L/c-1.data-00000-of-00001"], {"1h/B/L/c-1"}),
        pytest.param(["1h/B/L/c-1"], {"1h/B/L/c-1"}),
        (["1h/A", "1h/B"], {"1h/A/L/1.h5", "1h/A/L/deep/2.h5", "1h/B/L/c-1"}),
        (["."], {"0.h5", "1h/A/L/1.h5", "1h/A/L/deep/2.h5", "1h/B/L/c-1"}),
        (["0.h5"], {"0.h5"}),
        (["1h/B/L/c-1"], {"1h/B/L/c-1"}),
        (["ROOT/1h/B"], {"1h/B/L/c-1"}),
        (["ROOT"], {"0.h5", "1h/A/L/1.h5", "1h/A/L/deep/2.h5", "1h/B/L/c-1"}),
        (["ROOT/1h/../1h/B/./L"], {"1h/B/L/c-1"}),
        (["LINK/1h/B"], {"1h/B/L/c-1"}),
        ([".watcherd"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_looks_only_where_it_is_told(
    root: Path, saved: Saved, tmp_path: Path, named: list[str], seen: set[str]
) -> None:
    for variant, path in enumerate(["0.h5", "1h/A/L/1.h5", "1h/A/L/deep/2.h5"]):
        saved.write_h5(root / path, variant)
    saved.write_checkpoint(root / "1h/B/L/c-1", 3)
    (tmp_path / "link").symlink_to(root)
    words = [
        one.replace("ROOT", str(root)).replace("LINK", str(tmp_path / "link")) for one in named
    ]
    done = at(root, "--json", "reconcile", *words)
    assert done.status == 0
    assert {one["path"] for one in done.json()["changes"]} == seen
    assert {row["path"] for row in rows(root)} == seen


def test_a_path_counts_from_the_working_folder_where_it_is_not_below_the_root(
    root: Path, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.write_h5(root / "1h/A/L/1.h5")
    saved.write_h5(root / "1h/B/L/2.h5", 1)
    monkeypatch.chdir(root / "1h/B")
    assert at(root, "reconcile", "L").status == 0
    assert [row["path"] for row in rows(root)] == ["1h/B/L/2.h5"]


def test_a_path_that_is_gone_is_looked_at_too(used: Path) -> None:
    (used / NAMED).unlink()
    (change,) = at(used, "--json", "reconcile", NAMED).json()["changes"]
    assert (change["verb"], change["path"]) == ("missing", NAMED)


def test_a_folder_that_is_gone_is_looked_at_too_and_again_when_that_is_known(used: Path) -> None:
    shutil.rmtree(used / "4h")
    first, second = (at(used, "--json", "reconcile", "4h/ETH") for _ in range(2))
    assert [(one["verb"], one["path"]) for one in first.json()["changes"]] == [("missing", NAMED)]
    assert (second.status, second.json()["changes"]) == (0, [])


@pytest.mark.parametrize("words", [["1h/ETH"], ["--dry-run", "4h/ET"], ["1h/BTC", "1h/none.h5"]])
def test_a_path_of_which_neither_disk_nor_registry_know_is_no_agreement(
    kept: Path, words: list[str]
) -> None:
    done = at(kept, "reconcile", *words)
    assert (done.status, done.out) == (12, "")
    assert f"{words[-1]} is neither on disk nor in the registry" in done.err


@pytest.mark.parametrize("path", ["..", "1h/../..", "1h/BTC/../../.."])
def test_a_path_that_leads_out_of_the_root_is_refused(kept: Path, path: str) -> None:
    done = at(kept, "reconcile", path)
    assert (done.status, done.out) == (2, "")


def test_a_path_that_is_not_utf8_is_no_traceback(used: Path) -> None:
    assert at(used, "reconcile", os.fsdecode(b"\xff")).status == 12


def test_it_waits_for_what_settles(root: Path, saved: Saved, tmp_path: Path) -> None:
    config = tmp_path / "slow.toml"
    config.write_text('[watch]\nsettle = "300ms"\n')
    saved.write_h5(root / H5)
    done = at(root, "--config", str(config), "--json", "reconcile")
    assert [one["path"] for one in done.json()["changes"]] == [H5]
    assert done.json()["settling"] == []


def test_it_names_what_still_settles_when_its_patience_ends(root: Path, saved: Saved) -> None:
    """Each look finds the model written to again."""
    path = saved.write_h5(root / H5)
    with reconciler_of(root, settle=0.1) as reconciler:
        reconciler.naming = Touching(path, reconciler.naming)  # type: ignore[assignment]  # as one
        cycles = reconciler.cycle_until_settled(Request(ROOT, Cause.REQUEST), patience=0.5)
    assert [one.path for one in cycles[-1].plan.settling] == [H5]
    assert rows(root) == []


class Touching:
    """A naming that, each time it is asked, has a model written to."""

    def __init__(self, path: Path, naming: Any) -> None:
        self._path = path
        self._naming = naming

    def __getattr__(self, name: str) -> Any:
        os.utime(self._path)
        return getattr(self._naming, name)


def test_its_patience_ends_also_where_settle_is_longer(root: Path, saved: Saved) -> None:
    """``settle = "1m"`` on a slow network file system: ten seconds at most all the same."""
    saved.write_h5(root / H5)
    started = time.monotonic()
    with reconciler_of(root, settle=2) as reconciler:
        reconciler.cycle_until_settled(Request(ROOT, Cause.REQUEST), patience=0.2)
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    "options",
    [
        [],
        pytest.param(
            ["--dry-run"],
        ),
    ],
    ids=["for good", "as a dry run"],
)
def test_it_counts_all_that_differed_also_where_it_does_not_tell_each(
    root: Path, options: list[str]
) -> None:
    folder = root / "1h/BTC/LSTM"
    folder.mkdir(parents=True)
    for number in range(1200):
        (folder / f"{number}.h5").write_text("text")
    assert "1200 unreadable" in at(root, "reconcile", *options).out


def test_reread_reads_everything_again(used: Path) -> None:
    with closing(sqlite3.connect(used / ".watcherd/registry.db")) as connection, connection:
        connection.execute("UPDATE model SET class_name = 'wrong'")
    assert at(used, "reconcile").status == 0
    assert at(used, "--json", "show", H5).json()["class_name"] == "wrong"
    assert at(used, "reconcile", "--reread").status == 0
    assert at(used, "--json", "show", H5).json()["class_name"] == "Sequential"


# -- who makes a registry --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["show", "1"],
        ["history"],
        ["status"],
        ["status", "--wait", "0"],
        pytest.param(["prune"]),
        pytest.param(["prune", "--dry-run"]),
        pytest.param(["restore", "1"]),
        pytest.param(["rm", "1"]),
        pytest.param(["trash"]),
        pytest.param(["trash", "purge", "--all"]),
    ],
    ids=" ".join,
)
def test_only_run_and_reconcile_make_a_registry_and_the_others_say_so(
    root: Path, saved: Saved, command: list[str]
) -> None:
    saved.write_h5(root / H5)
    done = at(root, *command)
    assert done.status == 1
    assert not (root / ".watcherd").exists()
    assert "watcherd reconcile" in done.err
    assert "watcherd run" in done.err


# -- list ------------------------------------------------------------------------------------------


def test_present_models_are_listed_in_the_order_of_their_paths(kept: Path) -> None:
    assert paths(at(kept, "--json", "list")) == [CHECKPOINT, H5, NAMED]
    said = at(kept, "list").out
    assert said.index(CHECKPOINT) < said.index(H5) < said.index(NAMED)
    assert "3 models" in said
    assert "loose.h5" not in said


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--state", "all"], ["loose.h5", CHECKPOINT, H5, NAMED]),
        (["--state", "unreadable"], ["loose.h5"]),
        (["--state", "present,unreadable"], ["loose.h5", CHECKPOINT, H5, NAMED]),
        (["--state", "missing"], []),
        (["--interval", "1h"], [CHECKPOINT, H5]),
        (["--interval", "1H"], []),
        (["--interval", "?h"], [CHECKPOINT, H5, NAMED]),
        (["--ticker", "b*"], [CHECKPOINT, H5]),
        (["--type", "gru"], [NAMED]),
        (["--format", "checkpoint"], [CHECKPOINT]),
        (["--format", "H5"], [H5, NAMED]),
        (["--optimizer", "ADAM"], [CHECKPOINT, H5, NAMED]),
        (["--optimizer", "sgd"], []),
        (["--family", "*/ckpt-[*]"], [CHECKPOINT]),
        (["--unplaced", "--state", "all"], ["loose.h5"]),
        (["--ticker", "BTC", "--format", "h5"], [H5]),
        (["--ticker", "BTC", "--type", "GRU"], []),
        (["--limit", "1"], [CHECKPOINT]),
        (["--limit", "0"], []),
        (["--limit", "99"], [CHECKPOINT, H5, NAMED]),
        (["--sort", "-path"], [NAMED, H5, CHECKPOINT]),
        (["--sort", "step", "--format", "*"], [H5, CHECKPOINT, NAMED]),
        (["--sort", "-step", "--limit", "2"], [NAMED, CHECKPOINT]),
        (["--sort=-ticker", "--limit", "1"], [NAMED]),
        (["--ticker", "'; DROP TABLE model; --"], []),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("-") else "",
)
def test_filters_order_and_limit(kept: Path, options: list[str], found: list[str]) -> None:
    assert paths(at(kept, "--json", "list", *options)) == found
    text = at(kept, "list", *options).out
    assert [path for path in found if path in text] == found
    assert ("no models" in text) == (not found)


def test_rows_have_every_column_of_the_registry(kept: Path) -> None:
    (columns,) = {tuple(row) for row in rows(kept)}
    for row in at(kept, "--json", "list").json():
        assert set(columns) <= set(row)
        assert row["absolute_path"] == str(kept / row["path"])


# -- show ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (H5, H5),
        ("ROOT/" + H5, H5),
        ("LINK/" + H5, H5),
        (f"./{H5}", H5),
        ("1h/../1h/BTC/LSTM/m.h5", H5),
        (CHECKPOINT, CHECKPOINT),
        (f"{CHECKPOINT}.index", CHECKPOINT),
        (f"{CHECKPOINT}.data-00000-of-00001", CHECKPOINT),
        (f"ROOT/{CHECKPOINT}.data-00000-of-00001", CHECKPOINT),
        ("loose.h5", "loose.h5"),
    ],
)
def test_a_model_is_shown_by_any_of_its_names(
    kept: Path, tmp_path: Path, name: str, path: str
) -> None:
    (tmp_path / "link").symlink_to(kept)
    words = name.replace("ROOT", str(kept)).replace("LINK", str(tmp_path / "link"))
    row = at(kept, "--json", "show", words).json()
    assert row["path"] == path
    assert at(kept, "--json", "show", str(row["model_id"])).json() == row
    assert path in at(kept, "show", words).out


@pytest.mark.parametrize("path", [H5, CHECKPOINT])
@pytest.mark.parametrize("folder", ["1h/BTC/LSTM", "1h", ".."])
def test_a_name_counts_from_the_working_folder_too(
    kept: Path, monkeypatch: pytest.MonkeyPatch, path: str, folder: str
) -> None:
    monkeypatch.chdir(kept / folder)
    name = os.path.relpath(kept / path)
    assert at(kept, "--json", "show", name).json()["path"] == path
    assert at(kept, "--json", "reconcile", "--dry-run", name).status == 0


@pytest.mark.parametrize("path", [H5, CHECKPOINT])
def test_a_name_counts_from_the_working_folder_also_of_what_is_in_the_trash(
    used: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(used.parent)
    name = f"{used.name}/{path}"
    assert at(used, "rm", "--force", name).out == f"{name}: moved to the trash\n"
    assert at(used, "--json", "restore", name).json()[0]["restored"]


def test_where_the_working_folder_is_gone_a_name_counts_from_the_root(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in ("show", "explain", "reconcile --dry-run"):
        assert at(kept, *command.split(), H5).status == 0
        assert at(kept, *command.split(), "nowhere.h5").status == 12


def test_the_old_path_of_a_moved_model_says_where_it_went(used: Path) -> None:
    before = at(used, "--json", "show", H5).json()
    (used / "1h/ETH/LSTM").mkdir(parents=True)
    (used / H5).rename(used / "1h/ETH/LSTM/n.h5")
    assert at(used, "reconcile").status == 0
    after = at(used, "--json", "show", H5).json()
    assert (after["model_id"], after["path"]) == (before["model_id"], "1h/ETH/LSTM/n.h5")


def test_so_does_the_old_path_of_each_file_of_a_moved_checkpoint(used: Path) -> None:
    files = [f"{CHECKPOINT}.index", f"{CHECKPOINT}.data-00000-of-00001"]
    for file in files:
        (used / file).rename(used / file.replace("ckpt-3", "best"))
    assert at(used, "reconcile").status == 0
    for file in files:
        done = at(used, "--json", "show", file)
        assert done.json()["path"] == "1h/BTC/LSTM/best"
        assert done.err == f"watcherd: {CHECKPOINT} is 1h/BTC/LSTM/best now\n"


def test_of_several_models_of_one_path_the_one_that_is_there_is_shown(
    used: Path, saved: Saved
) -> None:
    first = at(used, "--json", "show", H5).json()["model_id"]
    (used / H5).rename(used / "1h/BTC/LSTM/n.h5")
    saved.write_h5(used / H5, 3)
    assert at(used, "reconcile").status == 0
    assert at(used, "--json", "show", H5).json()["model_id"] != first
    (used / H5).unlink()
    assert at(used, "reconcile").status == 0
    shown = at(used, "--json", "show", H5).json()
    assert (shown["state"], shown["model_id"] != first) == ("missing", True)


def test_a_checkpoint_named_by_a_number_is_shown_by_its_path(used: Path, saved: Saved) -> None:
    saved.write_checkpoint(used / "20260131", 3)
    assert at(used, "reconcile").status == 0
    assert at(used, "--json", "show", "20260131").json()["path"] == "20260131"


def test_everything_known_is_shown(kept: Path) -> None:
    row = at(kept, "--json", "show", CHECKPOINT).json()
    assert {one["role"] for one in row["files_seen"]} == {"index", "shard"}
    assert (row["tags"], row["aliases"], row["results"], row["trash"]) == ({}, [], [], None)
    said = at(kept, "show", "loose.h5").out
    assert "unreadable" in said
    assert "text, not HDF5" in said


# -- history ---------------------------------------------------------------------------------------


def test_history_is_told_oldest_first_and_of_one_model_alone(used: Path) -> None:
    (used / H5).unlink()
    assert at(used, "reconcile").status == 0
    lines = at(used, "--json", "history").json()
    assert [line["history_id"] for line in lines] == sorted(line["history_id"] for line in lines)
    assert [line["verb"] for line in lines].count("registered") == 3
    own = at(used, "--json", "history", H5).json()
    assert [(line["verb"], line["path"]) for line in own] == [("registered", H5), ("missing", H5)]
    assert at(used, "--json", "history", str(own[0]["model_id"])).json() == own
    assert own[1]["cause"] == "request"
    assert "@" in own[1]["actor"]


def test_history_since_a_time_and_the_newest_so_many(used: Path) -> None:
    everything = at(used, "--json", "history").json()
    assert at(used, "--json", "history", "--since", "1h").json() == everything
    assert at(used, "--json", "history", "--since", "2000-01-01").json() == everything
    assert at(used, "--json", "history", "--since", everything[0]["at"]).json() == everything
    assert at(used, "--json", "history", "--since", "2999-12-31T23:59Z").json() == []
    assert at(used, "--json", "history", "--limit", "2").json() == everything[-2:]
    assert "nothing happened" in at(used, "history", "--since", "2999-12-31").out


@pytest.fixture
def following() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts ``history --follow``, with these words of Python before it."""
    running: list[subprocess.Popen[bytes]] = []

    def start(root: Path, *words: str, python: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        command = [sys.executable, *python, "-m", "watcherd", "--root", str(root), *words]
        running.append(
            subprocess.Popen(
                [*command, "history", "--follow"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                # A shell starts what runs in the background with Ctrl-C ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        )
        return running[-1]

    yield start
    for one in running:
        one.kill()
        one.communicate()


def next_line(process: subprocess.Popen[bytes], seconds: float = 10) -> str:
    """The next line; what the process says of its end where none comes."""
    out = process.stdout
    assert out is not None
    ready, _, _ = select.select([out], [], [], seconds)
    if line := out.readline() if ready else b"":
        return line.decode()
    process.kill()
    raise AssertionError(f"no line: {process.communicate()[1].decode()}")


def test_history_follows_what_another_process_does_until_interrupted(
    used: Path, saved: Saved, following: Callable[..., subprocess.Popen[bytes]]
) -> None:
    follower, lines = following(used), following(used, "--json")
    for _ in range(4):
        next_line(follower)
        assert json.loads(next_line(lines))["verb"] in ("registered", "unreadable")
    saved.write_h5(used / "1h/BTC/LSTM/new.h5", 3)
    watcherd(used, "reconcile")
    assert "registered" in next_line(follower)
    told = json.loads(next_line(lines))
    assert (told["verb"], told["path"]) == ("registered", "1h/BTC/LSTM/new.h5")
    follower.send_signal(signal.SIGINT)
    out, err = follower.communicate(timeout=30)
    assert (follower.returncode, out, err) == (130, b"", b"")


def test_history_is_followed_by_one_who_may_only_read_it_too(
    used: Path, saved: Saved, following: Callable[..., subprocess.Popen[bytes]]
) -> None:
    from tests.test_scan import ORDINARY

    (used / ".watcherd").chmod(0o555)
    (used / ".watcherd/registry.db").chmod(0o444)
    follower = following(used, python=("-c", ORDINARY))
    for _ in range(4):
        next_line(follower)
    (used / ".watcherd").chmod(0o755)
    (used / ".watcherd/registry.db").chmod(0o644)
    saved.write_h5(used / "1h/BTC/LSTM/new.h5", 3)
    assert at(used, "reconcile").status == 0
    assert "new.h5" in next_line(follower, 2)


# -- names on terminals and in JSON ----------------------------------------------------------------


@pytest.fixture
def odd(root: Path, saved: Saved) -> Path:
    """A models root whose one model has a name made to confuse terminals."""
    saved.write_h5(root / ODD)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    return root


def is_harmless(text: str) -> bool:
    return all(one.isprintable() or one == "\n" for one in text)


@pytest.mark.parametrize(
    "command", [["list"], ["show", "1"], ["explain", "1"], ["history"]], ids=" ".join
)
def test_odd_names_are_visible_in_tables_and_literal_in_json(odd: Path, command: list[str]) -> None:
    done = at(odd, *command)
    assert done.status == 0
    assert is_harmless(done.out)
    folded = re.sub(r"\s", "", done.out)
    assert r"1h/\x1b[31mRED\n/LSTM/[b]x[/b]\t한.h5" in folded
    document = at(odd, "--json", *command).json()
    assert (document[0] if isinstance(document, list) else document)["path"] == ODD


def test_odd_names_are_visible_in_what_reconcile_and_prune_and_status_print(
    odd: Path, saved: Saved
) -> None:
    saved.write_h5(odd / ODD, 1)
    differing = at(odd, "status", "--wait", "0.1")
    dry = at(odd, "reconcile", "--dry-run")
    for variant in (2, 3):
        saved.write_checkpoint(odd / f"{ODD}-{variant}", variant)
    done = at(odd, "reconcile")
    pruned = at(odd, "prune")
    for one in (differing, dry, done, pruned):
        assert is_harmless(one.out)
        assert r"[b]x[/b]\t한.h5" in re.sub(r"\s", "", one.out), one


@pytest.mark.parametrize("name", ["1h/BTC/LSTM/[red]x.h5", "1h/BTC[/LSTM/b].h5"])
def test_brackets_in_names_are_no_markup(
    root: Path, saved: Saved, following: Callable[..., subprocess.Popen[bytes]], name: str
) -> None:
    saved.write_h5(root / name)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    assert name in next_line(following(root))


def test_brackets_in_the_last_cycle_s_scope_are_no_markup(used: Path, tmp_path: Path) -> None:
    """What a daemon told of itself, whose lock is held."""
    told = {"root": str(used), "coverage": {"watched": 1, "folders": 1}, "backlog": 0}
    told["last_cycle"] = {"cause": "event", "scope": "1h/[x]/LSTM[/b]"}
    status.write(used / ".watcherd" / status.NAME, told)
    with lock.hold(used / ".watcherd" / status.LOCK):
        done = at(used, "status")
    assert "1h/[x]/LSTM[/b]" in done.out


def test_brackets_in_a_settings_file_s_name_are_no_markup(kept: Path, tmp_path: Path) -> None:
    config = tmp_path / "[red]" / "config.toml"
    config.parent.mkdir()
    config.write_text("")
    assert "[red]" in at(kept, "--config", str(config), "config", "check").out


@pytest.mark.parametrize("command", ["show", "history", "restore"])
def test_errors_cannot_move_the_cursor_either(kept: Path, command: str) -> None:
    done = at(kept, command, "none\x1b[2J\x1b[31m.h5")
    assert done.status == 12
    assert is_harmless(done.err)


def test_json_is_utf8_whatever_lies_on_the_disk(used: Path, saved: Saved) -> None:
    saved.write_h5(used / os.fsdecode(b"1h/BTC/LSTM/\xff.h5"), 3)
    done = at(used, "--json", "status", "--wait", "0")
    assert done.status == 0
    assert "not UTF-8" in str(done.json()["skipped"])


def test_what_is_skipped_is_said_by_every_look(root: Path, saved: Saved) -> None:
    """Also where nothing has changed in its folder since the last one."""
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    os.mkfifo(root / "1h/BTC/LSTM/pipe.h5")
    assert at(root, "reconcile").status == 0
    for _ in range(2):
        said = at(root, "--json", "status", "--wait", "0").json()["skipped"]
        assert list(said) == ["1h/BTC/LSTM/pipe.h5"]


# -- pipes and terminals ---------------------------------------------------------------------------


def into_a_shut_pipe(root: Path, *words: str) -> tuple[int, str]:
    """Status and standard error of a call whose reader, such as ``head``, has left."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "watcherd", "--root", str(root), *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30)
    os.close(writing)
    return done.returncode, done.stderr


PIPED = ["list", "--json list", "history", "--json history", "--json history --follow", "show 1"]


@pytest.mark.parametrize("command", PIPED)
def test_a_reader_that_has_left_causes_no_traceback(kept: Path, command: str) -> None:
    assert into_a_shut_pipe(kept, *command.split())[1] == ""


def test_the_first_line_of_many_is_all_that_head_takes(root: Path) -> None:
    folder = root / "1h/BTC/LSTM"
    folder.mkdir(parents=True)
    for number in range(400):
        (folder / f"{number:0200}.h5").write_text("text")
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    line = '"$0" -m watcherd --root "$1" list --state all | head -1'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, str(root)], capture_output=True, text=True, timeout=30
    )
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


@pytest.mark.parametrize("command", ["list", "--json history --follow"])
def test_nor_is_it_a_failure(kept: Path, command: str) -> None:
    assert into_a_shut_pipe(kept, *command.split())[0] == 0


def test_a_table_is_as_wide_as_asked_for(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (60, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        assert max(map(len, at(kept, "list").out.splitlines())) <= width


@pytest.mark.parametrize("columns", ["", "wide", "0", "-5", "80.5"])
def test_an_odd_width_is_no_error(
    kept: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    done = at(kept, "list")
    assert done.status == 0
    assert CHECKPOINT in re.sub(r"\s", "", done.out)


# -- prune and restore -----------------------------------------------------------------------------


def test_a_path_saved_anew_names_what_is_in_the_trash_to_those_who_ask_for_that(
    used: Path, saved: Saved
) -> None:
    """Both are models of that path; show and rm mean the one on disk."""
    assert at(used, "rm", H5).status == 0
    saved.write_h5(used / H5, 1)
    assert at(used, "reconcile").status == 0
    done = at(used, "restore", H5)
    assert (done.status, f"{H5}: in the way of {H5}" in done.err) == (1, True)
    assert at(used, "show", H5).status == 0
    assert at(used, "rm", H5).status == 0
    assert at(used, "restore", H5).status == 0
    assert (used / H5).read_bytes() == saved.h5[1], "the one that was trashed last"
    assert at(used, "trash", "purge", H5).status == 0
    assert at(used, "--json", "trash").json() == []


def test_prune_tells_first_then_moves_and_restore_brings_back(used: Path, saved: Saved) -> None:
    index = used / f"{CHECKPOINT}.index"
    saved.write_checkpoint(used / "1h/BTC/LSTM/ckpt-4", 3)
    dry = at(used, "--json", "prune", "--dry-run").json()
    verdicts = {one["path"]: (one["verdict"], one["reasons"]) for one in dry["verdicts"]}
    assert (dry["dry_run"], dry["removed"]) == (True, 1)
    assert verdicts[CHECKPOINT] == ("remove", ["max_to_keep 2 of 1"])
    assert all(reasons for _, reasons in verdicts.values())
    assert index.exists()
    done = at(used, "prune")
    assert (done.status, index.exists()) == (0, False)
    assert "max_to_keep 2 of 1" in done.out
    assert "1 model moved to the trash" in done.out
    assert paths(at(used, "--json", "list", "--state", "trashed")) == [CHECKPOINT]
    assert at(used, "--json", "show", CHECKPOINT).json()["trash"]["reasons"]
    assert at(used, "prune").out.startswith("nothing to prune; ")
    assert at(used, "--config", os.devnull, "prune").out.startswith(
        "nothing to prune, as no rule matches; "
    )
    assert at(used, "restore", CHECKPOINT).status == 0
    assert index.exists()
    back = at(used, "--json", "show", CHECKPOINT).json()
    assert (back["state"], back["pinned"], back["trash"]) == ("present", 1, None)
    assert at(used, "--json", "prune").json()["removed"] == 0, "it is pinned now"


# -- status and config -----------------------------------------------------------------------------


def test_status_without_a_daemon_says_so_and_counts_models(kept: Path) -> None:
    said = at(kept, "--json", "status").json()
    assert said["daemon"] == {"running": False}
    assert said["models"] == {"present": 3, "unreadable": 1}
    assert said["root"] == {"path": str(kept), "suspended": None}
    assert "not running" in at(kept, "status").out


def test_status_waits_until_the_registry_equals_the_disk(used: Path, saved: Saved) -> None:
    saved.write_h5(used / "1h/BTC/LSTM/new.h5", 3)
    command = [sys.executable, "-m", "watcherd", "--root", str(used), "status", "--wait", "20"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as waiting:
        assert at(used, "reconcile").status == 0
        assert waiting.wait(15) == 0


def test_status_writes_nothing(used: Path, saved: Saved) -> None:
    saved.write_h5(used / "1h/BTC/LSTM/new.h5", 3)
    before = {path: path.read_bytes() for path in (used / ".watcherd").iterdir()}
    assert at(used, "status", "--wait", "0").status == 3
    assert {path: path.read_bytes() for path in (used / ".watcherd").iterdir()} == before


def test_config_shows_what_is_in_force_and_where_from(kept: Path) -> None:
    shown = {row["key"]: row for row in at(kept, "--json", "config", "show").json()}
    assert (shown["watch.settle"]["value"], shown["watch.settle"]["from"]) == ("1ms", "file")
    assert shown["models.root"]["from"] == "command line"
    assert shown["log.level"]["from"] == "default"
    assert at(kept, "config", "check").status == 0


# -- two roots in one registry ---------------------------------------------------------------------


def test_a_path_names_the_model_of_the_root_that_is_worked_upon(
    used: Path, tmp_path: Path, saved: Saved
) -> None:
    url = f"sqlite:///{used}/.watcherd/registry.db"
    other = tmp_path / "other"
    saved.write_h5(other / H5, 3)
    assert call("--root", str(other), "--registry", url, "reconcile").status == 0
    for root in (used, other):
        (shown,) = call(
            "--root", str(root), "--registry", url, "--json", "rm", H5, "nothing"
        ).json()[:1]
        assert shown["removed"], shown["error"]
        assert not (root / H5).exists()


def test_an_id_of_another_root_is_refused(used: Path, tmp_path: Path, saved: Saved) -> None:
    url = f"sqlite:///{used}/.watcherd/registry.db"
    other = tmp_path / "other"
    saved.write_h5(other / H5, 3)
    assert call("--root", str(other), "--registry", url, "reconcile").status == 0
    done = call("--root", str(other), "--registry", url, "rm", "1")
    assert done.status == 12
    assert f"model 1 is of another models root: {used}/" in done.err
