"""``show``: one model on a card. What is unknown is left out."""

import json
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import (
    Lean,
    Row,
    ago,
    ago_ns,
    cell,
    count,
    human_size,
    minute,
    new_table,
    state_cell,
)

Facts = list[tuple[str, Text]]


def model_card(row: Row, *, now: int) -> RenderableType:
    """Everything known of one model; ``now`` in ns since the epoch."""
    title = Text.assemble(
        (visible(row["path"]), "bold"), "  ", state_cell(row), f"  model {row['model_id']}"
    )
    groups = (_state(row, now), _marks(row), _place(row), _content(row))
    tables = (
        ("results", _results(row["results"], now)),
        ("files", _files(row["files_seen"], now)),
        ("layers", _layers(row["layers"])),
        ("architectures that fit", _fits(row["fits"])),
    )
    return Group(
        title,
        *(Group(Text(), _grid(facts)) for facts in groups if facts),
        *(Group(Text(f"\n{name}", "bold"), table) for name, table in tables if table is not None),
    )


def _grid(facts: Facts) -> Table:
    grid = Lean.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=14)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, value)
    return grid


def _told(row: Row, *names: str) -> Facts:
    """The columns that are known, under their names."""
    return [(name.replace("_", " "), cell(row[name])) for name in names if row[name] is not None]


def _state(row: Row, now: int) -> Facts:
    facts = [
        *([("why", Text(visible(row["reason"]), style="yellow"))] if row["reason"] else []),
        ("file", cell(row["absolute_path"])),
        ("size", cell(f"{human_size(row['size_bytes'])} in {_files_counted(row['files'])}")),
        ("modified", _when(row["modified_at"], now)),
        ("first seen", _when(row["first_seen_at"], now)),
    ]
    if row["changed_at"] != row["first_seen_at"]:
        facts.append(("changed", _when(row["changed_at"], now)))
    if row["placed_at"] != row["first_seen_at"]:
        facts.append(("here since", _when(row["placed_at"], now)))
    return [*facts, *_verified(row, now), *_trash(row["trash"], now)]


def _files_counted(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"


def _when(at: str, now: int) -> Text:
    told = ago(at, now)
    return Text(minute(at) if told == at[:10] else f"{told}, {minute(at)}")


_ANSWERS = {
    1: ("TensorFlow opened it", "green"),
    0: ("TensorFlow could not open it", "red"),
    None: ("TensorFlow could not be asked", "yellow"),
}
"""By ``model.verified``."""


def _verified(row: Row, now: int) -> Facts:
    at, why = row["verified_at"], row["verify_reason"]
    if at is None:
        return []
    said, style = _ANSWERS[row["verified"]]
    told = Text(said, style).append(f", {ago(at, now)}", style="default")
    return [("verified", told.append(f": {visible(why)}", style="default") if why else told)]


def _trash(entry: Row | None, now: int) -> Facts:
    if entry is None:
        return []
    why = "; ".join(json.loads(entry["reasons"]))
    until = f", until {minute(entry['expires_at'])}" if entry["expires_at"] else ""
    return [("trash", Text(f"{ago(entry['trashed_at'], now)}{until}: {visible(why)}"))]


def _marks(row: Row) -> Facts:
    tags = [key if value is None else f"{key}={value}" for key, value in row["tags"].items()]
    resumed = "a state file names it: a trainer resumes from it"
    return [
        *([("pinned", Text("no rule removes it"))] if row["pinned"] else []),
        *([("alias", cell(", ".join(row["aliases"])))] if row["aliases"] else []),
        *([("tags", cell(", ".join(tags)))] if tags else []),
        *_told(row, "note"),
        *([("resume", Text(resumed))] if row["resume"] else []),
        *([("note's fault", cell(row["note_fault"]))] if row["note_fault"] else []),
    ]


def _place(row: Row) -> Facts:
    place = " / ".join(row[name] for name in ("interval", "ticker", "type") if row[name])
    return [
        *([("placement", cell(place))] if place else []),
        *_told(row, "unplaced", "family"),
        *([("step", cell(count(row["step"])))] if row["step"] is not None else []),
        *_told(row, "ensemble_type"),
        *([("copy", cell(_copy(row)))] if _is_member(row) else []),
        *([("copies", cell("\n".join(map(visible, row["copies"]))))] if row["copies"] else []),
    ]


def _is_member(row: Row) -> bool:
    """Whether it lies in an ensemble folder, or was a copy that did."""
    return row["copy_of"] is not None or bool(row["ensemble_type"] and row["type"] is None)


def _copy(row: Row) -> str:
    if row["copy_of"] is None:
        return "of no model: its interval and ticker have none with this name and content"
    return f"a copy of model {row['copy_of']}"


def _content(row: Row) -> Facts:
    kind = " ".join(filter(None, [row["format"], row["class_name"]]))
    keras = " on ".join(filter(None, [row["keras_version"], row["backend"]]))
    shapes = " → ".join(filter(None, [row["input_shape"], row["output_shape"]]))
    known = [name for name in ("parameters", "variables") if row[name] is not None]
    numbers = [f"{count(row[name])} {name}" for name in known]
    return [
        ("format", cell(kind)),
        *([("keras", cell(keras))] if keras else []),
        *([("shapes", cell(shapes.replace("null", "–")))] if shapes else []),
        *([("weights", cell(", ".join([*numbers, *_dtype(row)])))] if numbers else []),
        *_told(row, "loss"),
        *_listed(row, "metrics"),
        *_listed(row, "custom_objects"),
        *_optimizer(row),
        *_told(row, "fingerprint"),
    ]


def _dtype(row: Row) -> Iterator[str]:
    if row["dtype"]:
        yield row["dtype"]


def _listed(row: Row, name: str) -> Facts:
    names = json.loads(row[name]) if row[name] else []
    return [(name.replace("_", " "), cell(", ".join(names)))] if names else []


def _optimizer(row: Row) -> Facts:
    if row["optimizer_type"] is None:
        return []
    settings = json.loads(row["optimizer_config"] or "{}")
    first = ("learning_rate",) if "learning_rate" in settings else ()
    names = (*first, *(name for name in settings if name not in first))
    told = ", ".join(f"{name} {json.dumps(settings[name])}" for name in names)
    return [("optimizer", cell(f"{row['optimizer_type']}: {told}".removesuffix(": ")))]


def _results(results: Sequence[Row], now: int) -> RenderableType | None:
    """The newest of each metric first, those of earlier content marked so."""
    if not results:
        return None
    table = new_table("metric", "value", "recorded", "source", "why", right=("value",))
    ordered = sorted(results, key=lambda one: (not one["current"], -one["result_id"]))
    for one in ordered:
        why = ["of earlier content: it counts no more"] if not one["current"] else []
        table.add_row(
            cell(one["metric"]),
            cell(None if one["value"] is None else f"{one['value']:g}"),
            cell(ago(one["recorded_at"], now)),
            cell(one["source"]),
            cell("; ".join([*([one["context"]] if one["context"] else []), *why])),
            style=None if one["current"] else "dim",
        )
    return table


def _files(files: Sequence[Row], now: int) -> RenderableType | None:
    if not files:
        return None
    table = new_table("role", "path", "size", "modified", right=("size", "modified"))
    for one in files:
        at = ago_ns(one["mtime_ns"], now)
        table.add_row(
            cell(one["role"]), cell(one["path"]), cell(human_size(one["size_bytes"])), cell(at)
        )
    return table


def _layers(layers: Sequence[Row]) -> RenderableType | None:
    """As ``Model.summary()``: a model that is a layer is followed by its own, indented."""
    if not layers:
        return None
    table = new_table("layer", "class", "output", "parameters", right=("parameters",))
    for one in layers:
        shape = one["output_shape"]
        told = None if shape is None else json.dumps(shape).replace("null", "–")
        name = "  " * one["depth"] + visible(one["name"])
        table.add_row(
            Text(name), cell(one["class_name"]), cell(told or "?"), _known(one["parameters"])
        )
    top = [one["parameters"] for one in layers if one["depth"] == 0]
    known = sum(number for number in top if number is not None)
    rest = "" if None not in top else ", and what the config does not tell"
    return Group(table, Text(f"{count(known)} parameters{rest}", style="dim"))


def _known(number: int | None) -> Text:
    return Text("?", style="dim") if number is None else cell(count(number))


def _fits(fits: Sequence[Row]) -> RenderableType | None:
    if not fits:
        return None
    table = new_table("architecture", "class", "models", "why", right=("architecture", "models"))
    for one in fits:
        table.add_row(
            cell(one["architecture_id"]),
            cell(one["class_name"]),
            cell(count(one["models"])),
            cell(f"as many {' and '.join(one['agrees'])}; shapes of variables are not compared"),
        )
    return table
