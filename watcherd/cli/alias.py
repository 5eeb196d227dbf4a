"""``watcherd alias`` and ``unalias``: names by which scripts find a model wherever it lies."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from watcherd.cli.each import Mark, ModelArgument, mark_each, plain
from watcherd.cli.options import Call, command
from watcherd.errors import Exit

Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as champion.")]


def add_to(app: typer.Typer) -> None:
    @command(app, "alias", Exit.REFUSED, Exit.NO_MODEL)
    def alias(call: Call, model: ModelArgument, name: Name) -> Exit:
        """Give a model a name that is unique within its interval, ticker and type.

        Other commands then take interval/ticker/type@NAME. What has an alias is never pruned.
        """
        from watcherd.registry import marks

        plain(name, "alias")
        mark = Mark(
            name,
            lambda row: f"{_place(row)}@{name} now",
            lambda row: f"{_place(row)}@{name} already",
            lambda registry, model_id, by, now: marks.set_alias(registry, model_id, name, by, now),
        )
        return mark_each(call, [model], [mark])

    @command(app, "unalias", Exit.NO_MODEL)
    def unalias(call: Call, model: ModelArgument, name: Name) -> Exit:
        """Take a name from a model."""
        from watcherd.registry import marks

        mark = Mark(
            plain(name, "alias"),
            f"has no alias {name} any more",
            f"has no alias {name}",
            lambda registry, model_id, by, now: marks.drop_alias(registry, model_id, name, by, now),
        )
        return mark_each(call, [model], [mark])


def _place(row: Mapping[str, Any]) -> str:
    """What stands before the @, where a model is named by its alias."""
    words = (row["interval"], row["ticker"], row["type"] or row["ensemble_type"])
    return row["folder"] if row["unplaced"] else "/".join(filter(None, words))
