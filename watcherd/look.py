"""What the scan of a part of a scope saw, and when a folder's listing counts as equal to its
rows."""

import secrets
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial

from watcherd.artifact import Snapshot
from watcherd.cycle import Portion
from watcherd.plan import Plan, Report, Work
from watcherd.scope import Scope, homes


@dataclass(slots=True)
class Look:
    """What was seen of a part of a scope, and what of it is yet to be concluded."""

    scope: Scope
    snapshot: Snapshot
    held: Mapping[str, bytes | None]
    """The folders that hold models -> what the registry knew them by before their rows were
    loaded."""
    work: Work
    unclear: set[str] = field(default_factory=set)
    """Paths whose rows may not be equal to the disk yet."""
    stamp: bytes = field(default_factory=partial(secrets.token_bytes, 8))
    """What it leaves on the folders whose rows it writes: no listing's fingerprint is as short."""

    def note(self, plan: Plan, report: Report) -> None:
        """Take in what became of some of the work."""
        applied = {one.model_id for one in report.applied}
        known = (change.record for change in plan.changes if change.record)
        left = (record.path for record in known if record.model_id not in applied)
        settling = (one.path for one in plan.settling)
        self.unclear.update(settling, plan.again, plan.blind, report.dropped, left)

    def tell(self, plan: Plan, report: Report, loose: frozenset[str]) -> Portion:
        """The last part of it, which tells what was seen in all."""
        seen = self.snapshot
        return Portion(
            self.scope,
            plan,
            report,
            folders=len(seen.folders),
            artifacts=len(seen.artifacts),
            scanning=seen.seconds,
            blind=seen.blind,
            skipped=seen.skipped,
            loose=loose,
        )

    @property
    def places_of_gone(self) -> frozenset[str]:
        return frozenset(record.folder for record in self.work.gone)

    def listings(self, loose: AbstractSet[str]) -> dict[str, bytes]:
        """Folder -> the fingerprint of its listing, which its rows are equal to now.

        Only where every row of the folder was compared and all that differed was applied: not of
        ``loose`` folders, whose models may yet be found elsewhere.
        """
        holding = self.held.keys() | {one.folder for one in self.snapshot.artifacts.values()}
        unclear = {home for path in self.unclear for home in homes(path)}
        equal = (self.snapshot.fingerprints.keys() & holding) - unclear - loose
        return {path: self.snapshot.fingerprints[path] for path in equal}

    @property
    def unlisted(self) -> AbstractSet[str]:
        """Folders that held models and are there no more."""
        return self.scope.among(self.held.keys()) - self.snapshot.folders.keys()
