"""The names of one folder are grouped into artifacts; nothing else is looked at."""

from collections.abc import Mapping

import pytest

from watcherd.artifact import Artifact, FileFact, Form, Role
from watcherd.grouping import Grouped, group
from watcherd.listing import FILE, LINK, Row
from watcherd.naming import Naming

FOLDER = "1h/BTC/LSTM"
Tree = Mapping[str, list[str]]
"""Folder in the one that is grouped -> the names of the files in it."""


def fact(name: str) -> FileFact:
    return FileFact(len(name), 1, 1, 1 + sum(map(ord, name)), 1)


def row(name: str, kind: str = FILE) -> Row:
    return (name, kind, *fact(name))


def grouped(
    *names: str,
    below: Tree | None = None,
    folder: str = FOLDER,
    beside: tuple[str, ...] = (),
    naming: Naming | None = None,
) -> Grouped:
    """Group files of these names, with folders ``below``; ``beside`` are paths that exist."""
    tree = below or {}
    there = {*beside, *(f"{inner}/{name}" for inner in tree for name in tree[inner]), *tree}

    def inside(name: str) -> tuple[list[str], list[Row]]:
        inner = [one.rpartition("/")[2] for one in tree if one.startswith(f"{name}/")]
        return inner, [row(one) for one in tree[name]]

    return group(
        folder,
        [name for name in tree if "/" not in name],
        [row(name) for name in names],
        naming or Naming(),
        lambda path: fact(path) if path in there else None,
        inside,
    )


def roles(artifact: Artifact) -> dict[str, Role]:
    return {part.path.removeprefix(f"{FOLDER}/"): part.role for part in artifact.parts}


GRAPH, META, V1 = Role.SAVED_MODEL, Role.GRAPH, Role.SHARD_V1
INDEX, SHARD = Role.INDEX, Role.SHARD
D1 = "data-00000-of-00001"


@pytest.mark.parametrize(
    ("names", "path", "form", "wanted"),
    [
        pytest.param(
            ["a.keras"], "a.keras", Form.KERAS, {"a.keras": Role.KERAS}, id="a .keras file"
        ),
        pytest.param(
            ["export", "export.meta", "notes"],
            "export",
            Form.CHECKPOINT,
            {"export": V1, "export.meta": META},
            id="a V1 checkpoint of one file",
        ),
        pytest.param(
            ["m-7-00000-of-00002", "m-7-00001-of-00002", "m-7.meta"],
            "m-7",
            Form.CHECKPOINT,
            {"m-7-00000-of-00002": V1, "m-7-00001-of-00002": V1, "m-7.meta": META},
            id="a V1 checkpoint of two shards",
        ),
        pytest.param(
            ["m.index", f"m.{D1}", "m.meta", "m-00000-of-00001"],
            "m",
            Form.CHECKPOINT,
            {"m.index": INDEX, f"m.{D1}": SHARD, "m.meta": META},
            id="the newer format wins",
        ),
        pytest.param(
            ["m.h5", "m.h5.meta", "m.h5.index"],
            "m.h5",
            Form.HDF5,
            {"m.h5": Role.H5},
            id="the file that has the path wins",
        ),
        pytest.param(
            ["m.keras", "m.keras.meta", f"m.keras.{D1}"],
            "m.keras",
            Form.KERAS,
            {"m.keras": Role.KERAS},
            id="also where it is .keras",
        ),
        pytest.param(
            ["m.index", f"m.{D1}", "m.graph", "m.pbtxt"],
            "m",
            Form.CHECKPOINT,
            {"m.index": INDEX, f"m.{D1}": SHARD},
            id="graphs under another suffix are left alone",
        ),
    ],
)
def test_files_make_one_artifact(
    names: list[str], path: str, form: Form, wanted: dict[str, Role]
) -> None:
    found = grouped(*names).artifacts
    assert list(found) == [f"{FOLDER}/{path}"]
    artifact = found[f"{FOLDER}/{path}"]
    assert artifact.form is form
    assert roles(artifact) == wanted


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002", "train-00001-of-00002"],
        ["export", "other.meta"],
        ["graph.pbtxt", "graph.pb", "export.meta"],
        [".export", ".export.meta"],
        ["checkpoint", "events.out.tfevents.1.host", "saved_model.json"],
        ["fingerprint.pb", "keras_metadata.pb"],
        ["checkpoint", "_METADATA", "_sharding", "manifest.ocdbt", "d-00000-of-00001"],
        ["latest.weights.h5", "training_metadata.json"],
        ["latest.weights.h5", "latest.weights.h5.bkp", "training_metadata.json.bkp"],
    ],
    ids=lambda names: " ".join(names),
)
def test_these_files_make_none(names: list[str]) -> None:
    assert grouped(*names).artifacts == {}


@pytest.mark.parametrize(
    "names", [["latest.weights.h5"], ["best.weights.h5", "training_metadata.json"]]
)
def test_weights_with_nothing_private_beside_them_are_an_artifact(names: list[str]) -> None:
    assert list(grouped(*names).artifacts) == [f"{FOLDER}/{names[0]}"]


def test_what_backup_and_restore_writes_is_named_with_the_reason() -> None:
    found = grouped("latest.weights.h5", "training_metadata.json")
    path = f"{FOLDER}/latest.weights.h5"
    assert "BackupAndRestore" in found.skipped[path]
    assert path in found.ignored, "a row that it had is left alone"


WHOLE = {
    "variables": ["variables.index", f"variables.{D1}"],
    "assets": ["words.h5", "words.txt"],
    "other": ["a.h5"],
}


def test_a_saved_model_is_one_artifact_its_folder() -> None:
    found = grouped("saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "notes", below=WHOLE)
    assert list(found.artifacts) == [FOLDER]
    artifact = found.artifacts[FOLDER]
    assert artifact.form is Form.SAVED_MODEL
    assert roles(artifact) == {
        "assets/words.h5": Role.ASSET,
        "assets/words.txt": Role.ASSET,
        "fingerprint.pb": Role.FINGERPRINT,
        "keras_metadata.pb": Role.KERAS_METADATA,
        "saved_model.pb": GRAPH,
        "variables/variables.index": INDEX,
        f"variables/variables.{D1}": SHARD,
    }
    assert artifact.head
    assert artifact.head.role is GRAPH
    assert f"{FOLDER}/other" in found.below


def test_what_else_lies_in_its_folder_is_an_artifact_of_its_own() -> None:
    found = grouped("saved_model.pb", "a.h5", "m.index", f"m.{D1}")
    assert set(found.artifacts) == {FOLDER, f"{FOLDER}/a.h5", f"{FOLDER}/m"}


def test_its_variables_alone_are_a_saved_model_whose_graph_is_to_come() -> None:
    found = grouped(below={"variables": ["variables.index", f"variables.{D1}"]})
    assert list(found.artifacts) == [FOLDER]
    assert found.artifacts[FOLDER].head == found.artifacts[FOLDER].parts[-1]
    assert found.artifacts[FOLDER].form is Form.SAVED_MODEL


def test_a_folder_named_variables_does_not_make_one() -> None:
    found = grouped("notes", below={"variables": ["x.csv", "model.index"], "assets": ["a.h5"]})
    assert found.artifacts == {}


def test_its_temporary_folder_says_that_its_save_is_under_way() -> None:
    tree = {"variables": [f"variables.{D1}"], "variables/variables_temp": []}
    (artifact,) = grouped(below=tree).artifacts.values()
    assert roles(artifact)["variables/variables_temp"] is Role.TEMPORARY


def test_its_variables_yield_nothing_where_they_are_listed_themselves() -> None:
    found = grouped("variables.index", f"variables.{D1}", "a.h5", folder=f"{FOLDER}/variables")
    assert list(found.artifacts) == [f"{FOLDER}/variables/a.h5"]


@pytest.mark.parametrize("graph", ["saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"])
def test_its_assets_yield_nothing_where_they_are_listed_themselves(graph: str) -> None:
    folder = f"{FOLDER}/assets"
    assert grouped("a.h5", folder=folder, beside=(f"../{graph}",)) == Grouped()
    assert list(grouped("a.h5", folder=folder).artifacts) == [f"{folder}/a.h5"]


def test_a_checkpoint_of_the_same_path_wins_over_a_saved_model() -> None:
    found = grouped("saved_model.pb", below=WHOLE, beside=("../LSTM.index",))
    assert found.artifacts == {}
    assert "rename" in found.skipped[f"{FOLDER}/saved_model.pb"]


def test_the_root_itself_is_no_saved_model() -> None:
    found = grouped("saved_model.pb", "a.h5", folder="")
    assert list(found.artifacts) == ["a.h5"]
    assert "root" in found.skipped["saved_model.pb"]


def test_an_ignored_graph_makes_no_saved_model() -> None:
    assert grouped("saved_model.pb", naming=Naming(ignore=("saved_model.pb",))).artifacts == {}


def test_a_symlink_is_no_part_of_a_saved_model() -> None:
    found = group(
        FOLDER, [], [row("saved_model.pb", LINK)], Naming(), lambda _: None, lambda _: ((), ())
    )
    assert found.artifacts == {}
    assert f"{FOLDER}/saved_model.pb" in found.unfollowed


# -- notes, and what they may name -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "path", "wanted"),
    [
        (["m.h5", "m.h5.watcherd.json"], "m.h5", {"m.h5": Role.H5}),
        (["m.keras", "m.keras.watcherd.json"], "m.keras", {"m.keras": Role.KERAS}),
        (["p.index", f"p.{D1}", "p.watcherd.json"], "p", {"p.index": INDEX, f"p.{D1}": SHARD}),
        (["p", "p.meta", "p.watcherd.json"], "p", {"p": V1, "p.meta": META}),
    ],
)
def test_a_note_is_a_part_of_the_artifact_beside_it(
    names: list[str], path: str, wanted: dict[str, Role]
) -> None:
    artifact = grouped(*names).artifacts[f"{FOLDER}/{path}"]
    assert roles(artifact) == {**wanted, f"{path}.watcherd.json": Role.NOTE}
    assert artifact.size_bytes == sum(map(len, wanted))
    assert {part.role for part in artifact.files} == set(wanted.values())


def test_the_note_of_a_saved_model_lies_beside_its_folder() -> None:
    note = "../LSTM.watcherd.json"
    artifact = grouped("saved_model.pb", beside=(note,)).artifacts[FOLDER]
    assert roles(artifact) == {
        "1h/BTC/LSTM.watcherd.json": Role.NOTE, "saved_model.pb": Role.SAVED_MODEL,
    }  # fmt: skip
    ignored = grouped(
        "saved_model.pb", beside=(note,), naming=Naming(ignore=("LSTM.watcherd.json",))
    )
    assert roles(ignored.artifacts[FOLDER]) == {"saved_model.pb": Role.SAVED_MODEL}


@pytest.mark.parametrize(
    "names",
    [
        ["m.h5.watcherd.json"],
        ["m.meta", "m.watcherd.json"],
        ["m.h5.watcherd.json.watcherd.json", "m.h5.watcherd.json"],
    ],
)
def test_a_note_by_itself_makes_no_artifact(names: list[str]) -> None:
    assert grouped(*names) == Grouped()


def test_what_a_note_may_name_is_told_only_where_there_is_one() -> None:
    others = ["scaler.x", "n.h5", "checkpoint", ".hidden", "p.index", "x.watcherd.json", "skip.x"]
    rules = Naming(ignore=("skip.x",))
    assert grouped("m.h5", *others, naming=rules).beside == {}
    assert grouped("x", "m.h5.watcherd.json").beside == {}
    found = grouped("m.h5", "m.h5.watcherd.json", *others, naming=rules)
    assert found.beside == {f"{FOLDER}/scaler.x": fact("scaler.x")}


def test_a_pipe_or_a_symlink_is_no_note() -> None:
    for kind in (LINK, "o"):
        found = group(
            FOLDER,
            [],
            [row("m.h5"), row("m.h5.watcherd.json", kind)],
            Naming(),
            lambda _: None,
            lambda _: ((), ()),
        )
        assert roles(found.artifacts[f"{FOLDER}/m.h5"]) == {"m.h5": Role.H5}
