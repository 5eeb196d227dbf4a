"""``watcherd pin`` and ``unpin``: keep models from every rule, or leave them to the rules again."""

import typer

from watcherd.cli.each import Mark, ModelsArgument, mark_each
from watcherd.cli.options import Call, command
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    @command(app, "pin", Exit.PARTLY, Exit.NO_MODEL)
    def pin(call: Call, models: ModelsArgument) -> Exit:
        """Keep models from every rule: what is pinned is never pruned."""
        from watcherd.registry import marks

        return mark_each(call, models, [Mark("pin", "pinned", "pinned already", marks.pin)])

    @command(app, "unpin", Exit.PARTLY, Exit.NO_MODEL)
    def unpin(call: Call, models: ModelsArgument) -> Exit:
        """Leave models to the retention rules again."""
        from watcherd.registry import marks

        return mark_each(call, models, [Mark("pin", "not pinned now", "not pinned", marks.unpin)])
