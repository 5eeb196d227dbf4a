"""The command line: one file per command; errors become statuses in one place."""

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
from watcherd.cli.options import Call, ConfigOption, JsonOption, RegistryOption, RootOption
from watcherd.cli.reading import in_haste, take_time
from watcherd.errors import Exit, WatcherdError, visible

app = typer.Typer(
    name="watcherd",
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
        lines = [f"watcherd: {error.message}", *([f"  → {error.hint}"] if error.hint else [])]
        for line in "\n".join(lines).split("\n"):
            print(visible(line), file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
