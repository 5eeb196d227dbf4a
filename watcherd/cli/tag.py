"""``watcherd tag`` and ``untag``: words upon models, by which they are found and kept."""

from typing import Annotated

import typer

from watcherd.cli.each import Mark, ModelArgument, mark_each, plain
from watcherd.cli.options import Call, command
from watcherd.errors import Exit


def add_to(app: typer.Typer) -> None:
    @command(app, "tag", Exit.NO_MODEL)
    def tag(
        call: Call,
        model: ModelArgument,
        tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="KEY or KEY=VALUE.")],
    ) -> Exit:
        """Tag a model; a tag that it already has gets the new value.

        list --tag finds tagged models, and keep_tags in a retention rule keeps them.
        """
        return mark_each(call, [model], [_tagged(words) for words in tags])

    @command(app, "untag", Exit.NO_MODEL)
    def untag(
        call: Call,
        model: ModelArgument,
        keys: Annotated[
            list[str],
            typer.Argument(metavar="KEY...", help="Tags to take away, without their values."),
        ],
    ) -> Exit:
        """Take tags from a model, whether a person or the note beside it gave them."""
        return mark_each(call, [model], [_untagged(plain(key, "tag")) for key in keys])


def _tagged(words: str) -> Mark:
    from watcherd.registry import marks

    key, sign, rest = plain(words, "tag").partition("=")
    value = rest if sign else None
    plain(key, "tag")
    return Mark(
        key,
        f"tagged {words}",
        f"tagged {words} already",
        lambda registry, model_id, by, now: marks.set_tag(registry, model_id, key, value, by, now),
    )


def _untagged(key: str) -> Mark:
    from watcherd.registry import marks

    return Mark(
        key,
        f"no tag {key} now",
        f"no tag {key}",
        lambda registry, model_id, by, now: marks.drop_tag(registry, model_id, key, by, now),
    )
