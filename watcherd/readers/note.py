"""The note beside a model: what its trainer says of it, in JSON (docs/formats.md, "The note").

Whatever stands in it costs the model nothing. What makes no sense is left out, and named.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from math import isfinite
from typing import Any, TypeVar

from watcherd.artifact import Artifact, Form, Part, Role
from watcherd.errors import visible
from watcherd.naming import unfit_as_companion
from watcherd.plan import Note
from watcherd.readers.source import Unreadable, opened
from watcherd.scope import is_text

T = TypeVar("T")

LIMIT = 1 << 20
"""Bytes of a note."""
MOST = 1_000
"""Results, tags or companions in one note."""
LONGEST = 1_000
"""Characters of a name, or of a tag's value."""

_TOLD = 5
"""Faults that are told one by one."""
_LINE = 120
"""Characters of a fault."""


def read(root: str, artifact: Artifact) -> Note | None:
    """What the note beside an artifact says; None where there is none.

    Raises Changed where it is not, or no longer, what was scanned.
    """
    part = next((part for part in artifact.parts if part.role is Role.NOTE), None)
    if part is None:
        return None
    try:
        return _understood(_content(root, part), artifact.form)
    except Unreadable as error:
        return Note(fault=str(error), is_readable=False)
    except OSError as error:
        fault = f"it cannot be read: {error.strerror or error}"
        return Note(fault=fault, is_readable=False)


def _content(root: str, part: Part) -> Any:
    """The JSON value. Raises Unreadable, Changed and OSError."""
    if part.fact.size > LIMIT:
        raise Unreadable(f"it has {part.fact.size:,} bytes; only notes up to {LIMIT:,} are read")
    with opened(root, part) as source:
        content = source.read(0, part.fact.size)
        source.check()
    try:
        return json.loads(content)
    except (ValueError, RecursionError, MemoryError) as error:
        told = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise Unreadable(f"it is no JSON: {_short(told)}") from error


def _understood(said: Any, form: Form) -> Note:
    if not isinstance(said, dict):
        raise Unreadable('it is no JSON object such as {"results": {"sharpe": 1.3}}')
    faults: list[str] = []
    return Note(
        results=dict(_entries("results", said, _number, faults)),
        tags=dict(_entries("tags", said, _tag_value, faults)),
        text=_note_text(said, faults),
        companions=tuple(dict.fromkeys(_companions(said, form, faults))),
        fault=_joined(faults),
    )


def _entries(
    key: str, said: dict[str, Any], convert: Callable[[Any], T], faults: list[str]
) -> Iterator[tuple[str, T]]:
    """The entries of one object of the note whose name and value make sense."""
    entries = said.get(key) or {}
    if not isinstance(entries, dict):
        faults.append(f"{key} is no object of names and values")
        return
    if len(entries) > MOST:
        faults.append(f"{key} has {len(entries):,} entries; the first {MOST:,} are taken")
    for name, value in islice(entries.items(), MOST):
        try:
            yield _text(name), convert(value)
        except ValueError as error:
            faults.append(_short(f"{key}.{name} {error}"))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is no number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise ValueError("is not finite: nothing could be compared with it")
    return number


def _tag_value(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value if value is None else _text(value, least=0)
    if isinstance(value, int | float):
        return json.dumps(value)
    raise ValueError("is no text")


def _note_text(said: dict[str, Any], faults: list[str]) -> str | None:
    text = said.get("note")
    if text is None or (isinstance(text, str) and is_text(text)):
        return text or None
    faults.append("note is no text")
    return None


def _companions(said: dict[str, Any], form: Form, faults: list[str]) -> Iterator[str]:
    names = said.get("companions") or []
    if not isinstance(names, list):
        faults.append("companions is no list of names")
    elif names and form is Form.SAVED_MODEL:
        faults.append("a SavedModel has its companions in its own assets.extra")
    else:
        if len(names) > MOST:
            faults.append(f"companions has {len(names):,} names; the first {MOST:,} are taken")
        for name in names[:MOST]:
            unfit = unfit_as_companion(name) if isinstance(name, str) else "no text"
            if unfit:
                faults.append(_short(f"companion {name!r} is {unfit}"))
            else:
                yield name


def _text(text: str, *, least: int = 1) -> str:
    if not least <= len(text) <= LONGEST:
        raise ValueError(f"is not of {least} to {LONGEST:,} characters")
    if not is_text(text):
        raise ValueError("is not UTF-8")
    return text


def _short(fault: str) -> str:
    """In one line that can be stored and shown."""
    said = visible(fault)
    return said if len(said) <= _LINE else f"{said[:_LINE]}…"


def _joined(faults: list[str]) -> str | None:
    more = [f"and {len(faults) - _TOLD} more"] if len(faults) > _TOLD else []
    return "; ".join([*faults[:_TOLD], *more]) or None
