"""``watcherd run``: the daemon."""

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    @command(app, "run", Exit.REFUSED)
    def run(call: Call) -> Exit:
        """Watch the models root and keep the registry true to it, until told to end.

        Logs go to standard output: readable on a terminal, else one JSON object a line.
        SIGTERM and SIGINT (Ctrl-C) end it, SIGHUP reads the settings again.
        """
        from watcherd import logs
        from watcherd.daemon import Daemon

        settings = call.settings()
        logs.configure(
            level=settings.log.level, format="json" if call.json else settings.log.format
        )
        return Daemon(settings, reload=call.settings).run()
