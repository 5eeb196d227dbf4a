"""What every command shares: where the settings are, how to print, and its help."""

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from watcherd.errors import Exit

if TYPE_CHECKING:
    from rich.console import Console

    from watcherd.config import Settings

# ``readable=False``: a path that may not be read is told by the program, not as wrong usage.
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="The settings file.", readable=False, show_default=False
    ),
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        help="The models root, instead of models.root.",
        readable=False,
        show_default=False,
    ),
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL",
        help="The registry's URL, instead of registry.url.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON instead of text.")]

_SHARED: Mapping[str, tuple[Any, object]] = {
    "config": (ConfigOption, None),
    "root": (RootOption, None),
    "registry": (RegistryOption, None),
    "json_": (JsonOption, False),
}

_MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "failed",
    Exit.USAGE: "wrong usage",
    Exit.PARTLY: "done in part: blind spots, or some models failed",
    Exit.DIFFERENT: "differences were found",
    Exit.NO_ROOT: "the models root is missing or suspended",
    Exit.REFUSED: "refused: a guard, a mass prune, another daemon",
    Exit.NO_MODEL: "no such model",
    Exit.SETTINGS: "settings that cannot be used",
    Exit.INTERRUPTED: "interrupted",
}
_ALWAYS = (Exit.DONE, Exit.FAILED, Exit.USAGE, Exit.SETTINGS, Exit.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the program: its shared options, wherever they stood."""

    config: Path | None
    root: Path | None
    registry: str | None
    json: bool

    def settings(self) -> "Settings":
        """The settings in force. Raises SettingsError."""
        from watcherd.config import load

        return load(config=self.config, root=self.root, registry=self.registry, environ=os.environ)

    def then(
        self, config: Path | None, root: Path | None, registry: str | None, json: bool
    ) -> "Call":
        """With the options that stand further on: they win."""
        return Call(
            config or self.config, root or self.root, registry or self.registry, json or self.json
        )

    def print(self, value: object) -> None:
        """One JSON document; or what rich can render."""
        if self.json:
            print_json(value)
        else:
            is_text = isinstance(value, str)
            console().print(value, soft_wrap=is_text, markup=not is_text)
        sys.stdout.flush()

    def tell(self, sentence: str) -> None:
        """Print a sentence for a person to standard error."""
        print(sentence, file=sys.stderr)


def print_json(value: object, *, indent: int | None = 2) -> None:
    """JSON on standard output; names that are not UTF-8 are escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=not _speaks_utf8(), default=str)
    # Lone surrogates of a name that is not UTF-8 are escaped as JSON escapes them.
    print(text.encode("utf-8", "backslashreplace").decode())


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def console() -> "Console":
    """The console for people. If the output is no terminal, lines are long, so that tools can cut
    them."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end with 1; see ``command``

    width = None if sys.stdout.isatty() else _columns()
    return Plain(width=width, highlight=False)


def _columns() -> int:
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else 160


class _Command(TyperCommand):
    """A command whose help reads the same with every version of typer."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Metavars are written as they are to be read: ``MODEL...``, ``[PATH]...``."""
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *(one.metavar for one in arguments)]


class Group(TyperGroup):
    """The same for a group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))


def _plain(parameters: list[Any]) -> list[Any]:
    """Without the types of flags and arguments that typer shows since 0.29: ``<bool>``."""
    for one in parameters:
        if one.param_type_name == "argument":
            one.display_type_rich = lambda ctx: ""
        elif one.is_flag:
            one.metavar = ""
    return parameters


def group(app: typer.Typer, name: str, said: str) -> typer.Typer:
    """Commands below a word, after which the shared options may stand, too."""
    made = typer.Typer(cls=Group, help=said, no_args_is_help=True)
    app.add_typer(made, name=name)

    @made.callback()
    def take(
        context: typer.Context,
        config: ConfigOption = None,
        root: RootOption = None,
        registry: RegistryOption = None,
        json_: JsonOption = False,
    ) -> None:
        context.obj = context.obj.then(config, root, registry, json_)

    return made


def command(
    app: typer.Typer, name: str, *exits: Exit
) -> Callable[[Callable[..., Exit]], Callable[..., None]]:
    """Make a function a command: it gets the Call first, and returns its exit status.

    The shared options may stand before or after the command; after it they win. ``exits`` are
    statuses beyond those that every command has; the help lists them.
    """

    def decorate(function: Callable[..., Exit]) -> Callable[..., None]:
        @wraps(function)
        def run(*, context: typer.Context, **given: Any) -> None:
            before: Call = context.obj
            call = before.then(*(given.pop(key) for key in _SHARED))
            try:
                status = function(call, **given)
            except BrokenPipeError:
                # The reader of a pipe (head, less) has seen enough; what is left has no reader.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                status = Exit.DONE
            raise typer.Exit(status)

        _declare(run, function)
        said, ends = _flowing(inspect.getdoc(function) or ""), _epilog((*_ALWAYS, *exits))
        app.command(name, cls=_Command, help=said, epilog=ends)(run)
        return run

    return decorate


def _flowing(text: str) -> str:
    """Paragraphs without the line breaks of the source, for a terminal of any width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _declare(run: Callable[..., None], function: Callable[..., Exit]) -> None:
    """Give the wrapper the function's own parameters and the shared ones, for typer to read."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    shared = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for key, (kind, default) in _SHARED.items()
    ]
    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    parameters = [context, *keyword, *shared]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    del run.__wrapped__  # type: ignore[attr-defined]  # else its signature would be read instead


def _epilog(exits: tuple[Exit, ...]) -> str:
    said = " · ".join(f"{code.value} {_MEANINGS[code]}" for code in sorted(set(exits)))
    return f"Exit status: {said}."
