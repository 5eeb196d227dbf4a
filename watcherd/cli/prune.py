"""``watcherd prune``: apply the retention rules now."""

from typing import Annotated

import typer

from watcherd.cli.options import Call, command
from watcherd.errors import Exit, RegistryFull


def add_to(app: typer.Typer) -> None:
    @command(app, "prune", Exit.PARTLY, Exit.NO_ROOT, Exit.REFUSED)
    def prune(
        call: Call,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Only say what would go, and why.")
        ] = False,
        yes: Annotated[
            bool,
            typer.Option(
                "--yes",
                help="Go on where so many models would be removed that a person must agree.",
            ),
        ] = False,
    ) -> Exit:
        """Move to the trash what the retention rules do not keep, and say why.

        The whole root is looked at first. watcherd restore brings back what went, until its time in
        the trash is over.
        """
        from watcherd import render
        from watcherd.purging import Emptied
        from watcherd.registry import Mode
        from watcherd.scope import ROOT, Cause
        from watcherd.wiring import person, pruner_of, reconciling

        settings = call.settings()
        with reconciling(settings, person(), mode=Mode.WRITE) as reconciler:
            pruner = pruner_of(settings, reconciler)
            try:
                (whole,) = pruner.look(ROOT, Cause.REQUEST, dry_run)
                pruned = pruner.prune(Cause.REQUEST, dry_run=dry_run, yes=yes)
            except RegistryFull:
                if not dry_run:
                    pruner.purge(Cause.REQUEST)  # makes room for the next try
                raise
            emptied = Emptied() if dry_run else pruner.purge(Cause.REQUEST)
        said = render.pruned(
            pruned.verdicts,
            pruned.failed,
            emptied.purged,
            emptied.failed,
            blind=whole.blind,
            dry_run=pruned.dry_run,
        )
        call.print(said if call.json else render.pruned_text(said))
        is_part = pruned.failed or emptied.failed or whole.blind
        return Exit.PARTLY if is_part else Exit.DONE
