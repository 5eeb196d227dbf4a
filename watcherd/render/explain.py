"""``explain``."""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from watcherd.errors import visible
from watcherd.render.cells import Lean, Row, ago, human_size, minute

Line = tuple[str, Text]
"""A label, and what stands behind it."""

_STANDINGS = {
    "kept": ("kept", "green"),
    "leaving": ("goes", "red"),
    "trashed": ("in the trash", "magenta"),
    "missing": ("missing", "yellow"),
    "deleted": ("purged", "dim"),
}
_MOST = 10
"""Leftovers and blind spots that are named one by one; JSON has all."""


def explained_text(said: Row, *, now: int) -> RenderableType:
    """Why a path has a row or none, and what becomes of its model. ``now`` is in ns."""
    title = Text(visible(said["path"]) or "the models root", style="bold")
    return Group(title, labelled(_lines(said, now)))


def labelled(lines: Iterable[Line]) -> RenderableType:
    """Lines as they are printed: all labels in one column, all texts in another."""
    table = Lean.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, text)
    return table


def _lines(said: Row, now: int) -> Iterator[Line]:
    yield "is", _joined([said["what"], *said["reasons"]])
    if said["model"]:
        yield "row", _row(said["model"], said["path"], now)
    if said["disk"] and not said["model"]:
        yield "disk", _disk(said["disk"], now)
    if said["differs"]:
        yield "differs", _joined(said["differs"], style="yellow")
    if said["fate"]:
        yield from _fate(said["fate"], now)
    if said["models"]:
        told = (f"{count:,} {state}" for state, count in sorted(said["models"].items()))
        yield "models", Text(", ".join(told))
    if said["survey"]:
        yield from survey_lines(said["survey"], now)


def _row(model: Row, path: str, now: int) -> Text:
    step = f", step {model['step']}" if model["step"] is not None else ""
    seen = f"first seen {ago(model['first_seen_at'], now)}"
    told = [
        f"model {model['model_id']}: {model['format']}, {model['state']}{step}",
        *([model["path"]] if model["path"] != path else []),
        f"{_files(model['files'])}, {human_size(model['size_bytes'])}, {seen}",
    ]
    if model["interval"] or model["ticker"] or model["type"]:
        words = (model[key] for key in ("interval", "ticker", "type"))
        told.append(" · ".join(word or "–" for word in words))
    return _joined([*told, *([model["reason"]] if model["reason"] else [])])


def _disk(disk: Row, now: int) -> Text:
    size = human_size(disk["size_bytes"])
    return Text(f"{_files(len(disk['files']))}, {size}, written {ago(disk['modified_at'], now)}")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _fate(fate: Row, now: int) -> Iterator[Line]:
    label, style = _STANDINGS[fate["standing"]]
    by = f" by {fate['actor']}" if fate["actor"] else ""
    since = [f"since {minute(fate['since'])}{by}"] if fate["since"] else []
    yield label, _joined([*since, *fate["reasons"]], style=style)
    if fate["rule"]:
        yield "rule", Text(visible(fate["rule"]))
    if fate["until"]:
        yield _until(fate, now)
    if fate["notes"]:
        yield "", _joined(fate["notes"])


def _until(fate: Row, now: int) -> Line:
    """What the end of a time means."""
    when = f"{minute(fate['until'])}, {ago(fate['until'], now)}"
    match fate["standing"]:
        case "kept":
            then = "; ".join(fate["then"])
            return "until", Text(visible(f"{when}; then it goes: {then}"), style="yellow")
        case "trashed":
            return "until", Text(f"{when}; earlier if the disk is short of space")
    return "when", Text(when)


def survey_lines(survey: Row, now: int) -> Iterator[Line]:
    """What a look through a tree found."""
    yield from listed("blind spot", survey["blind"])
    old = {
        one["path"]: f"{one['what']}, {ago(one['modified_at'], now)}" for one in survey["leftovers"]
    }
    yield from listed("left over", old)
    if not survey["whole"]:
        looked = f"only {survey['folders']:,} folders were looked through: there are too many"
        yield "", Text(looked, style="yellow")


def listed(label: str, told: Mapping[str, str]) -> Iterator[Line]:
    """The first of some paths, each with its reason."""
    for path, why in list(told.items())[:_MOST]:
        yield label, Text(visible(f"{path or 'the models root'}: {why}"), style="yellow")
    if len(told) > _MOST:
        yield label, Text(f"and {len(told) - _MOST:,} more", style="yellow")


def _joined(sentences: Iterable[str], style: str = "") -> Text:
    """A line each; the first is what matters."""
    first, *rest = [Text(visible(one)) for one in sentences]
    first.stylize(style)
    return Text("\n").join([first, *rest])
