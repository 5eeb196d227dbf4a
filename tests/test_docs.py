"""Documentation and program agree: what exists is documented, and what is documented exists."""

import json
import re
import shlex
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import pytest
import typer
from typer.testing import CliRunner

from tests.conftest import RunningDaemon, Saved, watcherd
from watcherd import journal, logs
from watcherd.artifact import Form, Role
from watcherd.cli import app
from watcherd.config import keys, load
from watcherd.errors import Exit
from watcherd.naming import Naming
from watcherd.plan import MARKS, ON_DISK, Applied, Candidate, Change, Format, State, Verb
from watcherd.registry import Direction, Mode, Registry
from watcherd.registry.tables import metadata
from watcherd.retention import decide
from watcherd.scope import Cause

HOUSE = Path(__file__).parents[1]
DOCS = HOUSE / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))

Row = dict[str, str]
T = TypeVar("T")


# Reading the documents


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(kind: str) -> list[tuple[str, str]]:
    """Page and content of every fenced block of a kind."""
    fence = re.compile(rf"^```{kind}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(name, found) for name in PAGES for found in fence.findall(page(name))]


def prose(name: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL)


def sections(name: str) -> dict[str, str]:
    """Heading -> what stands below it, up to the next heading."""
    pieces = re.split(r"^#+ (.+)$", prose(name), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def rows(text: str, *columns: str) -> Iterator[Row]:
    """The rows of all tables in a text that begin with these columns."""
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        header, _, *lines = ([cell.strip() for cell in line[1:-1].split("|")] for line in
                             table.splitlines())  # fmt: skip
        if tuple(header[: len(columns)]) == columns:
            yield from (dict(zip(header, line, strict=True)) for line in lines)


def words(text: str) -> list[str]:
    """What is set as code."""
    return re.findall(r"`([^`]+)`", text)


def first_words(text: str, *columns: str) -> list[str]:
    """The words in the first column of the tables that begin with these columns."""
    return [word for row in rows(text, *columns) for word in words(row[columns[0]])]


def listed(name: str, heading: str, *columns: str) -> list[str]:
    """The same, of one section of a page."""
    return first_words(sections(name)[heading], *columns)


def some(found: Iterable[T]) -> list[T]:
    """What a test is run on: a page that lost its examples must not pass for right."""
    listed = list(found)
    assert listed
    return listed


# Reading the program


def commands(group: Any = None, way: str = "watcherd") -> dict[str, Any]:
    """Name -> command, those of groups too."""
    group = group or typer.main.get_command(app)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found |= commands(command, f"{way} {name}") if inner else {f"{way} {name}": command}
    return found


def options(command: Any) -> set[str]:
    return {
        option
        for one in command.params
        if one.param_type_name == "option"
        for option in (*one.opts, *one.secondary_opts)
    }


COMMANDS = commands()
SHARED = set.intersection(*map(options, COMMANDS.values()))
OWN = options(typer.main.get_command(app))
HELP = {"--help", "-h"}

VERBS = set(Verb) - MARKS - {Verb.REFRESHED, Verb.ADOPTED, Verb.COMPACTED}
"""What happens to models; the others are said of them, the root's, or no event."""


def events() -> set[str]:
    """Every constant of ``logs``, and what the journal makes of each verb."""
    constants = {value for name, value in vars(logs).items() if re.fullmatch("[A-Z]+_[A-Z]+", name)}
    changes = (Applied(Change(verb, "", None, None, None), 0) for verb in VERBS)
    return constants | {journal._event_of(change) for change in changes}


def guards() -> set[str]:
    """What the guards say, of a model that all of them keep, in every state and format."""
    complete = Candidate(
        1, "a", None, None, None, "h5", "a", None, 1, State.PRESENT, 2, 2, 1,
        resume=True, pinned=True, aliased=True, ensemble=True,
    )  # fmt: skip
    said: set[str] = set()
    # Dated in the future, and young.
    for state, format, now in product(ON_DISK, Format, (1, 2)):
        one = complete._replace(state=state, format=format)
        (verdict,) = decide([one], [], now=now, min_age=1)
        said |= set(verdict.reasons)
    return said - {"no rule matches"}


# What there is, by its name

THINGS: dict[str, tuple[Callable[[], list[str]], set[Any]]] = {
    "a state": (lambda: listed("registry.md", "States", "state", "meaning"), set(State)),
    "a verb of the history": (
        lambda: listed("registry.md", "Verbs", "verb", "meaning"),
        set(Verb) - {Verb.REFRESHED},
    ),
    "a cause": (lambda: listed("registry.md", "Causes", "cause"), set(Cause)),
    "a role of a file": (lambda: listed("registry.md", "model_file", "role"), set(Role)),
    "a direction in the trash": (
        lambda: [
            word
            for row in rows(sections("registry.md")["trash"], "column")
            if row["column"] == "`direction`"
            for word in words(row["meaning"])
        ],
        set(Direction),
    ),
    "a format": (lambda: listed("formats.md", "Formats", "format", "is"), set(Format)),
    "a format, by what is read": (
        lambda: listed("formats.md", "What is read", "format", "read"),
        set(Format),
    ),
    "a guard": (lambda: listed("retention.md", "Guards", "guard", "keeps"), guards()),
    "a setting": (
        lambda: first_words(prose("settings.md"), "key", "default"),
        {key.name for key in keys()},
    ),
    "a log event": (lambda: first_words(prose("logs.md"), "event", "level"), events()),
    "an exit status": (
        lambda: listed("commands.md", "Exit statuses", "status", "meaning"),
        {str(status.value) for status in Exit},
    ),
    "a command": (
        lambda: [name for name in sections("commands.md") if name.startswith("watcherd ")],
        set(COMMANDS),
    ),
    "an option of every command": (
        lambda: [
            option.split()[0]
            for option in listed("commands.md", "Options of every command", "option")
        ],
        SHARED | OWN | HELP,
    ),
}


@pytest.mark.parametrize("thing", THINGS)
def test_everything_that_exists_is_documented_once_and_nothing_else(thing: str) -> None:
    documented, existing = THINGS[thing]
    assert sorted(documented()) == sorted(map(str, existing))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_options_that_its_section_lists(name: str) -> None:
    documented = [option.split()[0] for option in listed("commands.md", name, "option")]
    assert sorted(documented) == sorted(options(COMMANDS[name]) - SHARED)


def test_every_option_in_the_text_exists() -> None:
    existing = set().union(HELP, OWN, *map(options, COMMANDS.values()))
    spoken = {
        word.split()[0] for name in PAGES for word in words(prose(name)) if word.startswith("--")
    }
    assert spoken <= existing


@pytest.mark.parametrize("status", list(Exit))
def test_an_exit_status_is_of_the_commands_whose_help_lists_it(status: Exit) -> None:
    helped = {
        name.removeprefix("watcherd ")
        for name, command in COMMANDS.items()
        if re.search(rf"(: |· ){status.value} ", command.epilog)
    }
    found = rows(sections("commands.md")["Exit statuses"], "status", "meaning", "of")
    (row,) = (row for row in found if row["status"] == f"`{status.value}`")
    every = {name.removeprefix("watcherd ") for name in COMMANDS}
    assert helped == (every if row["of"] == "every command" else set(words(row["of"])))


@pytest.mark.parametrize("row", some(rows(sections("formats.md")["Step and family"], "name")))
def test_an_example_of_a_name_is_read_as_documented(row: Row) -> None:
    (name,), (family,) = words(row["name"]), words(row["family"])
    form = Form.CHECKPOINT if row["of a"] == "checkpoint" else Form.HDF5
    told = Naming().read_name(name, form)
    assert (told.family, str(told.step or "")) == (family, row["step"])


# The registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry freshly made."""
    file = tmp_path_factory.mktemp("registry") / "registry.db"
    Registry(f"sqlite:///{file}", Mode.CREATE).close()
    return file


def columns_in(file: Path) -> dict[str, list[str]]:
    """Table or view -> its columns, as any client sees them."""
    with closing(sqlite3.connect(file)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT IN ('sqlite_sequence', 'alembic_version')"
        ).fetchall()
        return {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            for (name,) in names
        }


def test_every_table_and_view_of_a_registry_is_documented_column_by_column(registry: Path) -> None:
    documented = {
        name: listed("registry.md", name, "column", "meaning")
        for name, text in sections("registry.md").items()
        if any(rows(text, "column", "meaning"))
    }
    assert documented == columns_in(registry)


def test_a_registry_has_the_tables_of_the_program(registry: Path) -> None:
    found = columns_in(registry)
    assert {name: found.get(name) for name in metadata.tables} == {
        name: table.columns.keys() for name, table in metadata.tables.items()
    }


@pytest.mark.parametrize("query", some(query for _, query in blocks("sql")))
def test_an_example_of_a_query_can_be_run(registry: Path, query: str) -> None:
    with closing(sqlite3.connect(f"file:{registry}?mode=ro", uri=True)) as connection:
        connection.execute(query).fetchall()


# The log


@dataclass(frozen=True)
class Documented:
    """What the documentation says of an event's lines."""

    levels: set[str]
    required: set[str]
    allowed: set[str]


def documented_events() -> dict[str, Documented]:
    """Of every event that is written."""
    about = list(rows(sections("logs.md")["Keys"], "key", "in"))
    rare = {word for row in about if "only then" in row["meaning"] for word in words(row["key"])}
    return {
        event: Documented(
            set(row["level"].split(", ")),
            found - rare - set(words("".join(re.findall(r"\(.*?\)", row["keys"])))),
            found,
        )
        for heading, text in sections("logs.md").items()
        for row in rows(text, "event", "level", "keys")
        if row["level"] != "—"
        for found in [_keys(heading, row, about)]
        for event in words(row["event"])
    }


def _keys(heading: str, row: Row, about: list[Row]) -> set[str]:
    parts = ("every line", "model lines") if heading == "Models" else ("every line",)
    return {
        *words(row["keys"]),
        *(word for each in about if each["in"] in parts for word in words(each["key"])),
    }


def is_documented(line: dict[str, Any]) -> bool:
    about = documented_events()[line["event"]]
    counts = VERBS if line["event"] == logs.CYCLE_DONE else set()
    return line["level"] in about.levels and about.required <= set(line) <= about.allowed | counts


def test_every_event_has_an_example_with_its_level_and_keys() -> None:
    lines = [json.loads(line) for _, block in blocks("json") for line in block.splitlines()]
    assert {line["event"] for line in lines} == set(documented_events())
    assert [line for line in lines if not is_documented(line)] == []


def test_every_key_of_a_cycle_is_explained() -> None:
    (row,) = rows(sections("logs.md")["Cycles"], "event")
    assert listed("logs.md", "Cycles", "key", "meaning") == words(row["keys"])


def test_every_event_that_reports_trouble_has_advice() -> None:
    trouble = {
        event for event, one in documented_events().items() if one.levels & {"warning", "error"}
    }
    advised = rows(sections("logs.md")["What to do"], "event", "what to do")
    assert {words(row["event"])[0] for row in advised} == trouble


PRUNING = """
[watch]
settle = "100ms"
[schedule]
prune = "500ms"
[retention]
min_age = "0s"
min_free_space = "0B"
[[retention.rule]]
max_to_keep = 1
"""


def test_what_a_daemon_writes_is_documented(
    root: Path, saved: Saved, start_daemon: Callable[..., RunningDaemon]
) -> None:
    for step in (1, 2):
        saved.write_checkpoint(root / f"1h/BTCUSDT/LSTM/cp-{step}", step)
    daemon = start_daemon(root, settings=PRUNING)
    daemon.wait_for("prune.trashed")
    (root / "broken.h5").write_bytes(b"no HDF5")
    daemon.wait_for("model.unreadable")
    told = json.loads(watcherd(root, "status", "--json").stdout)
    assert unlike("watcherd status", told, but=WAITED_FOR) == set()
    root.rename(root.with_name("away"))
    daemon.wait_for("root.suspended")
    daemon.stop()
    assert [line for line in daemon.lines() if not is_documented(line)] == []


# What --json prints


@pytest.fixture(scope="module")
def printed(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Command -> what it prints of a root with a model, one in the trash, one restored."""
    root = tmp_path_factory.mktemp("printed")
    settings = root / ".settings.toml"
    settings.write_text(PRUNING, encoding="utf-8")
    saved.write_h5(root / "1h/BTCUSDT/LSTM/lstm.h5")
    for step in (1, 2, 3):
        saved.write_checkpoint(root / f"1h/BTCUSDT/LSTM/cp-{step}", step)
    told = {
        "watcherd reconcile": "reconcile",
        "watcherd prune": "prune",
        "watcherd rm": "rm 1h/BTCUSDT/LSTM/cp-3 --force nothing",
        "watcherd trash list": "trash",
        "watcherd restore": "restore 1h/BTCUSDT/LSTM/cp-1 nothing",
        "watcherd trash purge": "trash purge --all",
        "watcherd list": "list",
        "watcherd show": "show 1h/BTCUSDT/LSTM/cp-2",
        "watcherd history": "history",
        "watcherd ensemble add": "ensemble add 1h/BTCUSDT/LSTM/lstm.h5 nothing --type ensemble_a",
        "watcherd ensemble list": "ensemble list",
        "watcherd ensemble remove": "ensemble remove 1h/BTCUSDT/LSTM/lstm.h5 nothing",
        "watcherd explain": "explain 1h/BTCUSDT/LSTM/cp-2",
        "watcherd status": "status --wait 5",
        "watcherd config check": "config check",
        "watcherd config show": "config show",
        "watcherd pin": "pin 1h/BTCUSDT/LSTM/lstm.h5 nothing",
        "watcherd unpin": "unpin 1h/BTCUSDT/LSTM/lstm.h5 nothing",
        "watcherd tag": "tag 1h/BTCUSDT/LSTM/lstm.h5 champion",
        "watcherd untag": "untag 1h/BTCUSDT/LSTM/lstm.h5 champion",
        "watcherd alias": "alias 1h/BTCUSDT/LSTM/lstm.h5 best",
        "watcherd unalias": "unalias 1h/BTCUSDT/LSTM/lstm.h5 best",
        "watcherd note": "note 1h/BTCUSDT/LSTM/lstm.h5 good",
        "watcherd verify": "verify nothing nowhere",
        "watcherd record": 'record 1h/BTCUSDT/LSTM/lstm.h5 sharpe=1.31 --context {"window":2024}',
    }
    return {
        name: json.loads(
            watcherd(root, "--config", str(settings), "--json", *line.split(), check=False).stdout
        )
        for name, line in told.items()
    }


def leaves(value: Any, way: str = "") -> Iterator[str]:
    """The way to every value that holds no other, as the documentation writes it."""
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from leaves(member, f"{way}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        for member in value:
            yield from leaves(member, f"{way}[]")
    else:
        yield way


def fits(documented: str, leaf: str) -> bool:
    """``blind.*`` fits each of its members, and ``blind`` where there is none."""
    pattern = re.escape(documented).replace(r"\*", ".+")
    return (
        bool(re.fullmatch(pattern, leaf))
        or re.match(rf"{re.escape(leaf)}(\.|\[)", documented) is not None
    )


def documented_keys(name: str) -> list[str]:
    """Those of a command's section; what it prints as in the registry's table has these too."""
    found = listed("commands.md", name, "key", "value")
    columns = listed("registry.md", "model", "column", "meaning")
    if name == "watcherd list":
        return found + [f"[].{column}" for column in columns]
    if name == "watcherd show":
        added = listed("commands.md", "watcherd list", "key", "value")
        return found + columns + [key.removeprefix("[].") for key in added]
    return found


def unlike(name: str, value: Any, *, but: str = "(?!)") -> set[str]:
    """The keys that a command printed and has not documented, and the other way round."""
    documented, found = documented_keys(name), set(leaves(value))
    unknown = {leaf for leaf in found if not any(fits(key, leaf) for key in documented)}
    missing = {key for key in documented if not any(fits(key, leaf) for leaf in found)}
    return unknown | {key for key in missing if not re.match(but, key)}


NO_DAEMON = r"daemon\.(?!running)"
WAITED_FOR = r"skipped\."
"""Keys of ``status`` that are there while a daemon runs only, and with ``--wait`` only."""


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"watcherd run"}))
def test_a_command_prints_the_keys_that_its_section_lists(
    printed: dict[str, Any], name: str
) -> None:
    assert unlike(name, printed[name], but=NO_DAEMON) == set()


# Examples, words and links


def spoken_commands() -> list[str]:
    """The words after ``watcherd`` in every example and in the text."""
    lines = [
        found
        for _, block in blocks("console")
        for found in re.findall(r"^\$ (?:sudo )?(?:\S*/)?watcherd (.*)$", block, re.MULTILINE)
    ]
    spans = [word for name in PAGES for word in words(prose(name))]
    lines += [word.partition(" ")[2] for word in spans if re.match(r"(\S*/)?watcherd ", word)]
    return sorted({line.partition(" | ")[0] for line in lines})


@pytest.mark.parametrize("line", some(spoken_commands()))
def test_an_example_of_a_command_line_is_right(line: str) -> None:
    # Help is printed after all options were read, and before anything is done.
    done = CliRunner().invoke(app, [*shlex.split(line), "--help"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("text", some(text for _, text in blocks("toml")))
def test_an_example_of_settings_is_valid(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    assert load(config=file, root=tmp_path, environ={}).retention.rule


SECTIONS = {name.partition(".")[0] for name in (*(key.name for key in keys()), *events())}
FILES = (".db", ".db-wal", ".db-shm", ".lock", ".service", ".index", ".h5")


@pytest.mark.parametrize("name", PAGES)
def test_the_settings_and_events_that_a_page_speaks_of_exist(name: str) -> None:
    known = {key.name for key in keys()} | events()
    spoken = {
        word
        for word in words(prose(name))
        if re.fullmatch(r"[a-z_.-]+", word) and word.partition(".")[0] in SECTIONS and "." in word
    }
    keyed = {key for command in COMMANDS for key in documented_keys(command)}
    assert {word for word in spoken - known - keyed if not word.endswith(FILES)} == set()


def anchors(name: str) -> set[str]:
    """The headings of a page, as links spell them."""
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in sections(name)}


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(name)):
        path, _, anchor = target.partition("#")
        found = (DOCS / (path or name)).resolve()
        assert found.is_file(), target
        assert not anchor or anchor in anchors(found.name), target


def test_the_index_lists_every_page() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", page("README.md"))
    assert sorted([*linked, "README.md"]) == PAGES


def test_the_pages_that_the_program_names_exist() -> None:
    units = [file for file in (HOUSE / "systemd").rglob("*") if file.is_file()]
    files = [*(HOUSE / "watcherd").rglob("*.py"), HOUSE / "config.example.toml", *units]
    texts = (file.read_text(encoding="utf-8") for file in files)
    named = {name for text in texts for name in re.findall(r"docs/([\w-]+\.md)", text)}
    assert named
    assert named <= set(PAGES)
