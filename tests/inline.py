"""The one seam that tests use: reading in this process instead of in a child, for speed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from watcherd.cycle import Cycle
from watcherd.naming import Naming
from watcherd.plan import Reading
from watcherd.readers.batch import Job, read_batch
from watcherd.reconciler import Reconciler
from watcherd.registry import Mode, Registry
from watcherd.scope import ROOT, Cause, Request, Scope


class Inline:
    """Reads as the child does, here."""

    def map(self, items: Sequence[Job]) -> Iterator[Reading]:
        return iter(read_batch(list(items)))

    def warm(self) -> None:
        """Nothing is to be started."""

    def close(self) -> None:
        """Nothing was started."""


@contextmanager
def reconciler_of(
    root: Path, *, url: str | None = None, settle: float = 0.0
) -> Iterator[Reconciler]:
    """A reconciler with a registry of its own; with settle 0 what was written is settled."""
    if url is None:
        (root / ".watcherd").mkdir(exist_ok=True)
        url = f"sqlite:///{root}/.watcherd/registry.db"
    with Registry(url, Mode.CREATE) as registry:
        yield Reconciler(
            registry=registry,
            root=registry.add_root(str(root)),
            naming=Naming(),
            settle=settle,
            actor="test",
            child=Inline(),
        )


def reconcile(reconciler: Reconciler, scope: Scope = ROOT) -> Cycle:
    return reconciler.cycle(Request(scope, Cause.REQUEST))
