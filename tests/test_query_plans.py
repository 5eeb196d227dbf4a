"""What the cycle asks of the registry goes by an index, however many models there are."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from watcherd.artifact import Artifact, FileFact, Form, Part, Role
from watcherd.registry import Mode, Registry
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


def new_models() -> list[Artifact]:
    return [
        Artifact(path, Form.HDF5, (Part(Role.H5, path, FileFact(1, 2, 3, number, 5)),))
        for number, path in enumerate(f"{folder}/m.h5" for folder in FOLDERS)
    ]


QUESTIONS: dict[str, Callable[[Registry], Any]] = {
    "the rows of some folders": lambda r: r.load(1, folders(FOLDERS)),
    "the rows of a tree": lambda r: r.load(1, tree("1h/T1")),
    "the rows of both": lambda r: r.load(
        1, Scope(trees=frozenset(["4h"]), folders=frozenset(FOLDERS))
    ),
    "the rows of folders that changed": lambda r: r.load_folders(1, FOLDERS),
    "what new models may continue": lambda r: r.find_kin(1, new_models(), ["a", "b"]),
    "the listings of some folders": lambda r: r.fingerprints(1, folders(FOLDERS)),
    "the listings of a tree": lambda r: r.fingerprints(1, tree("1h/T1")),
    "a model at a path": lambda r: r.ids_at("1h/T1/LSTM/m.h5"),
    "what a crash left half done": lambda r: are_unsettled(r, 1),
    "the links": lambda r: load_links(r, 1),
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
