"""The command line: one file per command; errors become statuses in one place."""

import os
import sys

import typer

from watcherd import __version__
from watcherd.cli import (
    alias,
    config,
    ensemble,
    explain,
    history,
    list_,
    note,
    pin,
    prune,
    reconcile,
    record,
    restore,
    rm,
    run,
    show,
    status,
    tag,
    trash,
    verify,
)
from watcherd.cli.options import (
    Call,
    ConfigOption,
    Group,
    JsonOption,
    RegistryOption,
    RootOption,
)
from watcherd.cli.reading import in_haste, take_time
from watcherd.errors import Exit, WatcherdError, visible

app = typer.Typer(
    name="watcherd",
    cls=Group,
    help="Keeps a registry of TensorFlow and Keras models true to the disk, by itself.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    context: typer.Context,
    config: ConfigOption = None,
    root: RootOption = None,
    registry: RegistryOption = None,
    json_: JsonOption = False,
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True),
) -> None:
    """Keeps a registry of TensorFlow and Keras models true to the disk, by itself."""
    take_time()  # a command may work for long; those that do not are in haste themselves
    context.obj = Call(config, root, registry, json_)


for module in (
    run,
    reconcile,
    list_,
    show,
    history,
    status,
    pin,
    tag,
    alias,
    note,
    record,
    verify,
    prune,
    explain,
    rm,
    restore,
    trash,
    ensemble,
    config,
):
    module.add_to(app)


def main() -> None:
    """The console script: runs a command and ends with its status."""
    if sys.argv[1:] == ["--version"]:
        print(f"watcherd {__version__}")
        sys.exit(Exit.DONE)
    try:
        with in_haste():  # until a command begins
            app()
    except WatcherdError as error:
        _say(f"watcherd: {error.message}")
        if error.hint:
            _say(f"  → {error.hint}")
        sys.exit(error.status)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)


def _say(text: str) -> None:
    """Tell it on standard error, wrapped at words where that is a terminal; else a line as it is,
    for tools to find."""
    width = _width()
    for line in text.split("\n"):
        for piece in _wrapped(visible(line), width) if width else [visible(line)]:
            print(piece, file=sys.stderr)


def _wrapped(line: str, width: int) -> list[str]:
    from textwrap import wrap  # here, as few calls end in an error

    # A path that is longer than a line is left to the terminal, to be copied whole.
    return wrap(
        line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _width() -> int | None:
    """Columns of the terminal on standard error; None where there is none, or it does not say."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):
        return None
