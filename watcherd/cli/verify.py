"""``watcherd verify``: let TensorFlow open models."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit, UsageError

if TYPE_CHECKING:
    from watcherd.registry import By, Registry, Root
    from watcherd.verify import Opener

Row = dict[str, Any]

_MODEL = "Ids, paths or aliases; without any, all that TensorFlow has not opened yet."


def add_to(app: typer.Typer) -> None:
    @command(app, "verify", Exit.PARTLY, Exit.NO_ROOT, Exit.NO_MODEL)
    def verify(
        call: Call,
        models: Annotated[
            list[str] | None, typer.Argument(metavar="[MODEL]...", help=_MODEL)
        ] = None,
        again: Annotated[
            bool, typer.Option("--again", help="Without MODEL: open all models, verified or not.")
        ] = False,
    ) -> Exit:
        """Let TensorFlow open models, in a process of its own, and keep what it said.

        Files are only read, and code that a model brings along is not run. verify.python names
        another TensorFlow, verify.custom_objects what models need that Keras does not know.
        """
        from watcherd import render
        from watcherd.cli.several import resolve
        from watcherd.registry import Mode
        from watcherd.registry.verifications import to_verify
        from watcherd.root import open_root
        from watcherd.wiring import know_root, open_registry, opener_of

        if models and again:
            raise UsageError(
                "--again is about all models, and some are named",
                hint="leave it out: a model that is named is opened, verified or not",
            )
        settings = call.settings()
        with (
            open_root(settings.models.root, None),  # without it nothing can be said of any model
            open_registry(settings, Mode.WRITE) as registry,
        ):
            root = know_root(registry, settings.models.root)
            named = resolve(registry, settings.models.root, models or ())
            ids = named.ids if models else to_verify(registry, root.root_id, again=again)
            with _progress(call, len(ids)) as tell:
                rows = _verify(registry, root, opener_of(settings), ids, tell)
        rows += [_row(path=name, reason=why.message) for name, why in named.unknown.items()]
        call.print(rows if call.json else render.verified_text(rows))
        return Exit.DONE if all(row["answer"] == "opened" for row in rows) else Exit.PARTLY


def _verify(
    registry: "Registry",
    root: "Root",
    opener: "Opener",
    ids: Sequence[int],
    tell: Callable[[str], None],
) -> list[Row]:
    """A row for each model. Raises VerifyError, RootSuspended."""
    from watcherd.registry import By
    from watcherd.scope import Cause
    from watcherd.wiring import person

    by = By(person(), Cause.REQUEST)
    try:
        return [_verify_one(registry, root, opener, one, by, tell) for one in ids]
    finally:
        opener.end()


def _verify_one(
    registry: "Registry",
    root: "Root",
    opener: "Opener",
    model_id: int,
    by: "By",
    tell: Callable[[str], None],
) -> Row:
    from watcherd.verifying import choose, conclude, judge, why_not

    subject = choose(registry, root, model_id)
    if subject is not None:
        tell(subject.record.path)
        proof = judge(opener, root, subject)
        if proof is not None and conclude(registry, root, subject, proof, by):
            return _row(model_id, subject.record.path, proof.answer, proof.reason, proof.judge)
    row = registry.find(model_id)
    return _row(model_id, row["path"] if row else None, reason=why_not(row))


def _row(
    model_id: int | None = None,
    path: str | None = None,
    answer: str | None = None,
    reason: str | None = None,
    judge: str | None = None,
) -> Row:
    return {
        "model_id": model_id,
        "path": path,
        "answer": answer,
        "reason": reason,
        "judge": judge,
    }


@contextmanager
def _progress(call: Call, total: int) -> Iterator[Callable[[str], None]]:
    """Where a person waits: a bar, to be told of each model whose turn it is."""
    if call.json or not sys.stderr.isatty():
        yield lambda path: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Column

    from watcherd.errors import visible

    name = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    columns = (BarColumn(30), MofNCompleteColumn(), name)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting TensorFlow", total=total)
        done = iter(range(total + 1))
        yield lambda path: bar.update(task, completed=next(done), description=visible(path))
