"""``watcherd reconcile``: one cycle now, and what differed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit, NoSuchModel

if TYPE_CHECKING:
    from watcherd.reconciler import Reconciler


def add_to(app: typer.Typer) -> None:
    @command(app, "reconcile", Exit.PARTLY, Exit.DIFFERENT, Exit.NO_ROOT, Exit.NO_MODEL)
    def reconcile(
        call: Call,
        paths: Annotated[
            list[Path] | None,
            typer.Argument(
                metavar="[PATH]...",
                readable=False,
                help="Folders or files to look at; without any, the whole root.",
            ),
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Only say what differs (exit status 4).")
        ] = False,
        adopt_root: Annotated[
            bool,
            typer.Option(
                "--adopt-root",
                help="Accept the folder that is there now as the models root, with its mounts.",
            ),
        ] = False,
        reread: Annotated[
            bool, typer.Option("--reread", help="Read every artifact again, changed or not.")
        ] = False,
    ) -> Exit:
        """Make the registry equal to the disk, and print what differed.

        Waits up to ten seconds for what was changed a moment ago, and names what still changes.
        Safe beside a running daemon.
        """
        from watcherd import render
        from watcherd.cli.places import scope_of
        from watcherd.scope import Cause, Request
        from watcherd.wiring import person, reconciling

        settings = call.settings()
        request = Request(scope_of(settings.models.root, paths or []), Cause.REQUEST)
        with reconciling(settings, person()) as reconciler:
            if adopt_root and not dry_run:
                call.tell(_adopt(reconciler))
            if paths:
                _refuse_nowhere(reconciler, paths)
            cycles = (
                (reconciler.cycle(request, dry_run=True, reread=reread),)
                if dry_run
                else reconciler.cycle_until_settled(request, reread=reread)
            )
        last = cycles[-1]
        counts = last.planned if dry_run else sum((one.counts for one in cycles), Counter())
        said = render.reconciled(
            last.plan.events if dry_run else [one for cycle in cycles for one in cycle.changes],
            settling=(*(one.path for one in last.plan.settling), *last.unfinished),
            blind=last.blind,
            seconds=sum(cycle.seconds for cycle in cycles),
            dry_run=dry_run,
            counts=counts,
        )
        call.print(said if call.json else render.reconciled_text(said))
        if dry_run and said["counts"]:
            return Exit.DIFFERENT
        return Exit.PARTLY if said["blind"] else Exit.DONE


def _refuse_nowhere(reconciler: "Reconciler", paths: Sequence[Path]) -> None:
    """A mistyped path must not look like one whose models are as the registry has them."""
    from watcherd.cli.places import nowhere

    reconciler.check_root()  # where it is gone, that is what is missing
    if lost := nowhere(reconciler.registry, Path(reconciler.root.path), paths):
        told = " and ".join(map(str, lost))
        raise NoSuchModel(
            f"{told} {'is' if len(lost) == 1 else 'are'} neither on disk nor in the registry",
            hint="a path is relative to the models root or to the working folder; "
            "nothing was looked at",
        )


def _adopt(reconciler: "Reconciler") -> str:
    """Shows both roots: the one that was known, and the one that is there."""
    before = reconciler.root
    reconciler.adopt_root()
    now = reconciler.root
    return (
        f"adopted {now.path} with marker {now.uuid} of {now.host}; "
        f"known was {before.uuid or 'no marker'} of {before.host or 'no host'}"
    )
