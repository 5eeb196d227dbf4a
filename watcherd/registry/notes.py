"""What the notes beside models say, taken into their rows where it is not what they said last.

A person's tag never goes by a note, and of a text the last word counts. Results are of the content
that was there when the note was written.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from watcherd.artifact import Part, Role
from watcherd.plan import Applied, Change, Note, Verb
from watcherd.registry.intents import By
from watcherd.registry.lines import Row, line
from watcherd.registry.records import chunks
from watcherd.registry.scores import Source, add_changed, content_of
from watcherd.registry.tables import model, tag

PERSON, NOTE = "person", "note"
"""Whose a tag is."""

_SILENT = Note()


@dataclass(slots=True)
class Heard:
    """What one note brought."""

    lines: list[Row] = field(default_factory=list)
    """For the history."""
    fault: str | None = None
    """What makes no sense in it, where that is news."""


@dataclass(frozen=True, slots=True)
class _Told:
    """One note, and what is known of it."""

    one: Applied
    note: Note
    said: Mapping[str, Any]
    """Its last words, as ``_words`` has them."""
    text: str | None
    """The row's note, a person's perhaps."""
    by: By
    now: int

    def line(self, verb: Verb, **details: object) -> Row:
        path = self.one.change.path
        details["source"] = NOTE
        return line(self.one.model_id, path, verb, self.by, self.now, details=details)


def take(connection: Connection, applied: Iterable[Applied], by: By, now: int) -> dict[int, Heard]:
    """Take in the notes that were read, and what those said that are gone."""
    speaking = [one for one in applied if _may_differ(one.change)]
    rows = _rows(connection, [one.model_id for one in speaking])
    return {one.model_id: _hear(connection, one, rows[one.model_id], by, now) for one in speaking}


def was_written(change: Change) -> bool:
    """Whether the note is not the file that was read last; a move alone makes no difference."""
    seen = _note_in(change.artifact.parts) if change.artifact else None
    known = _note_in(change.record.parts) if change.record else None
    return seen is not None and (known is None or _writing(seen) != _writing(known))


def _writing(part: Part) -> tuple[int, int]:
    return part.fact.size, part.fact.mtime_ns


def _note_in(parts: Iterable[Part]) -> Part | None:
    return next((part for part in parts if part.role is Role.NOTE), None)


def _may_differ(change: Change) -> bool:
    if change.reading is None:
        return False
    had_one = change.record is not None and _note_in(change.record.parts) is not None
    return change.reading.note is not None or had_one


def _rows(connection: Connection, ids: list[int]) -> dict[int, Row]:
    asked = select(model.c.model_id, model.c.note, model.c.note_said, model.c.note_fault)
    return {
        row["model_id"]: dict(row)
        for some in chunks(ids)
        for row in connection.execute(asked.where(model.c.model_id.in_(some))).mappings()
    }


def _hear(connection: Connection, one: Applied, row: Row, by: By, now: int) -> Heard:
    reading = one.change.reading
    note = (reading and reading.note) or _SILENT
    fault = note.fault if note.fault != row["note_fault"] else None
    columns: Row = {"note_fault": note.fault}
    lines: list[Row] = []
    if note.is_readable:
        told = _Told(one, note, json.loads(row["note_said"] or "{}"), row["note"], by, now)
        text, said_of_text = _take_text(told)
        results, said_of_results = _take_results(connection, told)
        lines = [*_take_tags(connection, told), *said_of_text, *said_of_results]
        columns |= {"note": text, "note_said": _words(note, results)}
    connection.execute(update(model).where(model.c.model_id == one.model_id).values(columns))
    return Heard(lines, fault)


def _words(note: Note, results: Mapping[str, float]) -> str | None:
    """What ``model.note_said`` keeps; ``results`` are those that were taken for some content."""
    words = {
        "results": dict(results),
        "tags": dict(note.tags),
        "note": note.text,
        "companions": list(note.companions),
    }
    kept = {key: value for key, value in words.items() if value}
    return json.dumps(kept, sort_keys=True) if kept else None


def _take_text(told: _Told) -> tuple[str | None, list[Row]]:
    """The row's note from now on, and the line about it."""
    said, says = told.said.get("note"), told.note.text
    text = says if says != said and (says is not None or told.text == said) else told.text
    return text, [told.line(Verb.NOTED, note=text)] if text != told.text else []


def _take_tags(connection: Connection, told: _Told) -> Iterator[Row]:
    said, says = told.said.get("tags", {}), told.note.tags
    whose = dict(_tag_sources(connection, told.one.model_id))
    for key in said.keys() - says.keys():
        if whose.get(key) == NOTE:
            _drop_tag(connection, told.one.model_id, key)
            yield told.line(Verb.UNTAGGED, key=key)
    for key, value in says.items():
        is_news = key not in said or said[key] != value
        if is_news and whose.get(key) != PERSON:
            _drop_tag(connection, told.one.model_id, key)
            row = {"model_id": told.one.model_id, "key": key, "value": value, "source": NOTE}
            connection.execute(insert(tag).values(row))
            yield told.line(Verb.TAGGED, key=key, value=value)


def _tag_sources(connection: Connection, model_id: int) -> Iterator[tuple[str, str]]:
    known = connection.execute(select(tag.c.key, tag.c.source).where(tag.c.model_id == model_id))
    return ((row.key, row.source) for row in known)


def _drop_tag(connection: Connection, model_id: int, key: str) -> None:
    connection.execute(delete(tag).where(tag.c.model_id == model_id, tag.c.key == key))


def _take_results(connection: Connection, told: _Told) -> tuple[Mapping[str, float], list[Row]]:
    """The results that were taken by now, and the line about those that are new.

    What a note says stays about the content that it was written for: after an overwrite it counts
    no more until the note is written again. Of what is not complete yet nothing is taken.
    """
    said: Mapping[str, float] = told.said.get("results", {})
    says = told.note.results
    mark = content_of(told.one.change)
    if mark is None or (says == said and not was_written(told.one.change)):
        return said, []
    content = (told.one.model_id, mark)
    changed = add_changed(connection, {content: dict(says)}, Source.NOTE, told.now)[content]
    if not changed:
        return says, []
    return says, [told.line(Verb.RECORDED, results=changed, fingerprint=mark)]
