"""What the cycle asks of the registry goes by an index, however many models there are; and a
question costs what its answer does, not what it takes to be asked."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from watcherd.artifact import Artifact, FileFact, Form, Part, Role
from watcherd.registry import Mode, Registry
from watcherd.registry.following import adopters
from watcherd.registry.intents import are_unsettled
from watcherd.registry.links import load_links
from watcherd.scope import Scope, folders, tree

FOLDERS = [f"1h/T{number}/LSTM" for number in range(30)]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    file: Path = tmp_path_factory.mktemp("plans") / "registry.db"
    with Registry(f"sqlite:///{file}", Mode.CREATE) as registry:
        registry.add_root("/srv/models")
        yield registry


def new_models() -> list[tuple[Artifact, str]]:
    return [
        (Artifact(path, Form.HDF5, (Part(Role.H5, path, FileFact(1, 2, 3, number, 5)),)), "ab")
        for number, path in enumerate(f"{folder}/m.h5" for folder in FOLDERS)
    ]


QUESTIONS: dict[str, Callable[[Registry], Any]] = {
    "the rows of some folders": lambda r: r.load(1, folders(FOLDERS)),
    "the rows of a tree": lambda r: r.load(1, tree("1h/T1")),
    "the rows of both": lambda r: r.load(
        1, Scope(trees=frozenset(["4h"]), folders=frozenset(FOLDERS))
    ),
    "the rows of folders that changed": lambda r: r.load_folders(1, FOLDERS),
    "what new models may continue": lambda r: r.find_kin(1, new_models()),
    "the listings of some folders": lambda r: r.fingerprints(1, folders(FOLDERS)),
    "the listings of a tree": lambda r: r.fingerprints(1, tree("1h/T1")),
    "a model at a path": lambda r: r.ids_at("1h/T1/LSTM/m.h5"),
    "what a crash left half done": lambda r: are_unsettled(r, 1),
    "the links": lambda r: load_links(r, 1),
    "what happened since a time": lambda r: r.history(since="2026-01-31T12:00:00.000Z"),
    "what happened to a model": lambda r: r.history(model_id=7, limit=100),
    "what happened after a line": lambda r: r.history(after=7),
    "who adopted the root since a line": lambda r: adopters(r, "a", after=7),
}

MAY_SCAN = {"trash", "link", "CONSTANT"}
"""Small tables, read whole; and a row of constants (SQLite: SCAN CONSTANT ROW)."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_of_the_cycle_reads_a_whole_table(question: str, registry: Registry) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        asked.append((statement, values))

    event.listen(registry._engine, "before_cursor_execute", note)
    try:
        QUESTIONS[question](registry)
    finally:
        event.remove(registry._engine, "before_cursor_execute", note)
    selects = [one for one in asked if one[0].startswith("SELECT")]
    assert selects
    with registry.reading() as connection:
        steps = [
            row[3]
            for statement, values in selects
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    whole = [step for step in steps if step.startswith("SCAN") and step.split()[1] not in MAY_SCAN]
    by_root = [step for step in steps if "model" in step and "(root_id=?)" in step]
    assert (whole, by_root) == ([], [])


ASK = """
import gc, os, sys
sys.argv = ["watcherd", *sys.argv[1:]]
before = dict(os.environ)
from watcherd.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
import pydantic.plugin._loader as plugins
print(plugins._plugins, "watcherd.registry.changes" in sys.modules, file=sys.stderr)
print(dict(os.environ) == before, len(gc.get_objects()) < gc.get_freeze_count(), file=sys.stderr)
"""
"""Asks, and tells what that took beside the answer."""


@pytest.mark.parametrize("words", [["list"], ["history", "--since", "1h"]], ids=" ".join)
def test_a_question_looks_for_no_plugins_nor_at_its_end_for_garbage_and_imports_nothing_that_writes(
    registry: Registry, words: list[str]
) -> None:
    command = [sys.executable, "-c", ASK, "--root", "/srv/models", "--registry", registry.url]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.split("\n") == ["None False", "True True", ""]
