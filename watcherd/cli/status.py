"""``watcherd status``: the daemon, the root, and how true the registry is."""

import time
from typing import Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    @command(app, "status", Exit.PARTLY, Exit.NO_ROOT)
    def status(
        call: Call,
        wait: Annotated[
            float | None,
            typer.Option(
                metavar="SECONDS",
                min=0,
                help="Wait, at most so long, until the registry has all that changed before.",
            ),
        ] = None,
    ) -> Exit:
        """Say how the daemon, the models root and the registry are, and what the disk has room for.

        Ends with 3 where there are blind spots. With --wait: returns as soon as the registry equals
        the disk, and else names what still settles or differs, and ends with 3, too.
        """
        from watcherd import render
        from watcherd.outlook import look_at

        said = look_at(call.settings(), wait=wait)
        call.print(said if call.json else render.status_text(said, now=time.time_ns()))
        if said["root"]["suspended"]:
            return Exit.NO_ROOT
        unclear = said["settling"] or said["differing"] or said["blind"]
        return Exit.PARTLY if unclear else Exit.DONE
