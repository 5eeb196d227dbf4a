"""What pydantic found wrong, in words for the person who wrote the settings."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from watcherd.config.keys import keys
from watcherd.errors import Fault

_Place = Sequence[int | str]


def faults_in(error: ValidationError, document: object) -> Iterator[Fault]:
    """Each thing wrong with a document, by its key and value as written."""
    for details in error.errors(include_url=False, include_input=False):
        place = _as_written(document, details["loc"])
        yield Fault(_dotted(place), _value(document, place), _expected(details, place))


def _as_written(document: Any, place: _Place) -> _Place:
    """Without the index of a text that stands alone where a list may stand, too: a layout."""
    for depth, part in enumerate(place):
        if isinstance(document, str):
            return place[:depth]
        document = _value(document, (part,))
    return place


def _dotted(place: _Place) -> str:
    """``("retention", "rule", 0, "per")`` → ``retention.rule[0].per``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _value(document: Any, place: _Place) -> object:
    """What stands there; None for what is missing."""
    for part in place:
        try:
            document = document[part]
        except LookupError:
            return None
    return document


def _expected(details: ErrorDetails, place: _Place) -> str:
    if details["type"] == "extra_forbidden":
        return _known_keys(place)
    if details["type"] == "missing":
        return next(key.description for key in keys() if key.name == _general(place)) or "a value"
    if details["type"] == "expected":
        return details["msg"]
    # What is left is a value where a table belongs.
    return f"a table of {', '.join(_keys_below(place))}"


def _known_keys(place: _Place) -> str:
    """The keys that belong where an unknown one stands, and the one that was probably meant."""
    unknown, here = str(place[-1]), _keys_below(place[:-1])
    elsewhere = [key.name for key in keys() if key.name.endswith(f".{unknown}")]
    near = get_close_matches(unknown, here, n=1) or elsewhere
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"one of the keys {', '.join(here)}{meant}"


def _keys_below(place: _Place) -> list[str]:
    prefix = "".join(f"{part}." for part in place if isinstance(part, str))
    below = (key.name.removeprefix(prefix) for key in keys() if key.name.startswith(prefix))
    return list(dict.fromkeys(name.partition(".")[0] for name in below))


def _general(place: _Place) -> str:
    """The key as the documentation names it, for all rules alike."""
    return ".".join(part for part in place if isinstance(part, str))
