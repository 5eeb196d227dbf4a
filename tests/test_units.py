"""The units of systemd, and the page about them: what can be said without starting any."""

import ast
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.machine import HOUSE, SYSTEM, TEMPLATE, USER, WATCHERD
from watcherd.errors import Exit

PAGE = HOUSE / "docs" / "systemd.md"

Lines = list[tuple[str, str]]


# Reading the units


def lines_of(unit: Path) -> Lines:
    """Key and value of every line that says something, in order."""
    return re.findall(r"^(\w+)=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


def hardening_of(unit: Path) -> list[str]:
    """The lines below "What it may not do"."""
    text = unit.read_text(encoding="utf-8")
    return text.partition("\n# What it may not do")[2].partition("\n[Install]")[0].splitlines()


@pytest.mark.parametrize("unit", [SYSTEM, TEMPLATE, USER], ids=str)
def test_each_thing_that_a_unit_forbids_has_its_reason_above_it(unit: Path) -> None:
    lines = hardening_of(unit)
    forbidding = [at for at, line in enumerate(lines) if re.match(r"\w+=", line)]
    assert len(forbidding) > 8
    assert [lines[at] for at in forbidding if not lines[at - 1].startswith("# ")] == []


OF_AN_INSTANCE = (" (%i)", "/%i", "-%i")
"""What the template's lines have more than the service's."""


def test_an_instance_is_the_service_but_for_what_bears_its_name() -> None:
    own = ("Environment", "WATCHERD_CONFIG=/etc/watcherd/%i.toml")
    lines = lines_of(TEMPLATE)
    lines.remove(own)
    for more in OF_AN_INSTANCE:
        lines = [(key, value.replace(more, "")) for key, value in lines]
    assert lines == lines_of(SYSTEM)


def test_a_users_service_says_the_same_as_the_systems_where_it_speaks_of_the_same() -> None:
    differing = {"WantedBy", "ExecStart", "ExecReload", "Environment", "WorkingDirectory"}
    system = lines_of(SYSTEM)
    assert [
        line for line in lines_of(USER) if line[0] not in differing and line not in system
    ] == []


def test_the_service_is_not_restarted_where_settings_are_wrong() -> None:
    for unit in (SYSTEM, TEMPLATE, USER):
        assert ("RestartPreventExitStatus", str(Exit.SETTINGS.value)) in lines_of(unit)


needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here to ask"
)


def runnable(unit: Path, folder: Path) -> Path:
    """A copy whose program is there: it is not installed where the unit expects it."""
    copy = folder / unit.name.replace("@", "@name")
    text = unit.read_text(encoding="utf-8")
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    return copy


@needs_analyze
@pytest.mark.parametrize(
    ("unit", "manager"), [(SYSTEM, "--system"), (TEMPLATE, "--system"), (USER, "--user")], ids=str
)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, manager: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", manager, "verify", runnable(unit, tmp_path)],
        capture_output=True, text=True, timeout=60,
        env=dict(os.environ, XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_analyze
@pytest.mark.parametrize("unit", [SYSTEM, TEMPLATE], ids=str)
def test_systemd_calls_a_service_of_the_system_little_exposed(unit: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", runnable(unit, tmp_path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (level,) = re.findall(r"Overall exposure level for \S+: (\S+)", done.stdout)
    assert float(level) <= 2.0


# The page


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@cache
def messages() -> str:
    """Every text of the program, a line each, with … for what is filled in."""
    found = []
    for file in (HOUSE / "watcherd").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                pieces = (getattr(piece, "value", "…") for piece in node.values)
                found.append("".join(one if isinstance(one, str) else "…" for one in pieces))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def complaints() -> list[str]:
    """The first column of the table of what the log complains of."""
    (table,) = re.findall(r"^\| it says \|.*\n\|.*\n((?:\|.*\n)+)", page(), re.MULTILINE)
    return [line.split("|")[1].strip() for line in table.splitlines()]


@pytest.mark.parametrize("complaint", complaints())
def test_what_the_log_is_said_to_complain_of_is_what_the_program_says(complaint: str) -> None:
    pieces = complaint.strip("`").split("…")
    assert [piece for piece in pieces if piece.strip() and piece.strip() not in messages()] == []


def test_every_line_of_a_unit_that_the_page_speaks_of_is_in_one() -> None:
    keys = {key for unit in (SYSTEM, TEMPLATE, USER) for key, _ in lines_of(unit)}
    spoken = set(re.findall(r"`([A-Z]\w+)=", page())) | set(
        re.findall(r"^([A-Z]\w+)=", page(), re.MULTILINE)
    )
    assert spoken
    assert spoken <= keys


@pytest.mark.parametrize(
    ("folder", "key", "value"),
    [
        ("/etc/watcherd", "ConfigurationDirectory", "watcherd"),
        ("/var/lib/watcherd", "StateDirectory", "watcherd"),
        ("/srv/models", "ReadWritePaths", "/srv/models"),
        ("/opt/watcherd/bin/watcherd", "ExecStart", f"{WATCHERD} run"),
    ],
)
def test_the_folders_that_the_page_speaks_of_are_the_units(
    folder: str, key: str, value: str
) -> None:
    assert folder in page()
    assert (key, value) in lines_of(SYSTEM)


@pytest.mark.parametrize("file", re.findall(r"(?<![\w/])systemd/[\w/@.-]+\.\w+", page()))
def test_the_files_that_the_page_installs_are_there(file: str) -> None:
    assert (HOUSE / file).is_file()
