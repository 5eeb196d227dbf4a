"""Sets marks on each MODEL of a command; failures are listed beside what was done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcherd.cli.options import Call
from watcherd.errors import Exit, UsageError, in_a_line
from watcherd.scope import Cause, is_text

if TYPE_CHECKING:
    from watcherd.registry import By, Registry

Act = Callable[["Registry", int, "By", int], bool]
"""Of registry, model_id, who asks and the time in ns; returns whether anything changed."""

Saying = str | Callable[[Mapping[str, Any]], str]
"""What is printed, or a function that makes it from the model's row."""

_MODEL = "An id, a path of the model or of its files, or interval/ticker/type@alias."
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)]
ModelsArgument = Annotated[list[str], typer.Argument(metavar="MODEL...", help=_MODEL)]


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark to be set on a model."""

    name: str
    done: Saying
    """What is printed when it was set."""
    idle: Saying
    """What is printed where it was set already."""
    act: Act


def mark_each(call: Call, models: Sequence[str], marks: Sequence[Mark]) -> Exit:
    """Set every mark on every model, each by itself, and print what became of it.

    Raises NoSuchModel if the only model named does not exist, and Refused.
    """
    from watcherd import render
    from watcherd.cli.several import resolve
    from watcherd.registry import By, Mode
    from watcherd.wiring import open_registry, person

    settings = call.settings()
    by = By(person(), Cause.REQUEST)
    with open_registry(settings, Mode.WRITE) as registry:
        named = resolve(registry, settings.models.root, models)
        outcome = [
            {"model": name, "mark": mark.name}
            | (
                _set(registry, named.known[name], mark, by)
                if name in named.known
                else _unknown(in_a_line(named.unknown[name]))
            )
            for name in models
            for mark in marks
        ]
    call.print(outcome if call.json else render.marked_text(outcome))
    return Exit.PARTLY if named.unknown else Exit.DONE


def _set(registry: "Registry", model_id: int, mark: Mark, by: "By") -> dict[str, Any]:
    import time

    changed = mark.act(registry, model_id, by, time.time_ns())
    said = mark.done if changed else mark.idle
    if not isinstance(said, str):
        said = said(registry.find(model_id) or {})
    return {"model_id": model_id, "changed": changed, "said": said, "error": None}


def _unknown(error: str) -> dict[str, Any]:
    return {"model_id": None, "changed": False, "said": None, "error": error}


def plain(word: str, what: str) -> str:
    """A word of the command line, if the registry can hold it. Raises UsageError."""
    if not word:
        raise UsageError(f"an empty {what} says nothing", hint=f"give the {what} a name")
    if not is_text(word):
        raise UsageError(f"the {what} {word!r} is not UTF-8", hint="write it in UTF-8")
    return word
