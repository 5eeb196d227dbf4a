"""``watcherd config check|show``: are the settings right, and what is in force."""

import typer

from watcherd.cli.options import Call, command, group
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    below = group(app, "config", "Check the settings, or show what is in force.")

    @command(below, "check")
    def check(call: Call) -> Exit:
        """Validate the settings; every fault is told at once."""
        from watcherd.config import naming_of

        settings = call.settings()
        naming_of(settings)
        call.print(
            {"source": settings.source, "ok": True}
            if call.json
            else f"{settings.source}: the settings are right"
        )
        return Exit.DONE

    @command(below, "show")
    def show(call: Call) -> Exit:
        """Print every setting in force, and where it comes from."""
        from watcherd import render

        settings = call.settings()
        rows = [
            {"key": key, "value": one.value, "from": one.origin}
            for key, one in settings.written.items()
        ]
        call.print(rows if call.json else render.settings_table(rows, settings.source))
        return Exit.DONE
