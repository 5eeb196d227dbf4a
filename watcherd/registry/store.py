"""The registry as the cycle and the commands use it."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from watcherd.artifact import Artifact
from watcherd.plan import Applied, Change, Plan, Record, Report, Verb
from watcherd.registry import queries, records
from watcherd.registry.clock import iso
from watcherd.registry.engine import READS, Mode, close_engine, open_engine, translated
from watcherd.registry.history import last_history_id, list_history
from watcherd.registry.question import Filter, Question
from watcherd.registry.records import Kin
from watcherd.registry.tables import folder, history, mount
from watcherd.registry.tables import root as root_table
from watcherd.scope import Cause, Scope

if TYPE_CHECKING:
    from watcherd.registry.changes import Writer

BATCH = 500
"""Changes in one write transaction: short enough that a person's pin never waits long."""


@dataclass(frozen=True, slots=True)
class Root:
    """The registry's row of a models root."""

    root_id: int
    uuid: str | None
    """None until the root's marker is written."""
    host: str | None
    path: str
    prune_confirmed: bool
    naming: str | None
    """Hash of the rules for names that its rows were placed by."""


class Registry:
    """One open registry. Every method raises RegistryError with what to do next."""

    def __init__(self, url: str, mode: Mode = Mode.READ) -> None:
        self.url = url
        self.mode = mode
        self._engine: Engine = open_engine(url, mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it so that users who may only read can read it."""
        close_engine(self._engine, self.url, self.mode)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first statement."""
        with translated(self.url), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the registry and locks nobody out."""
        with (
            translated(self.url),
            self._engine.connect().execution_options(**{READS: True}) as connection,
        ):
            yield connection

    # -- the root ---------------------------------------------------------------------------------

    def root(self, path: str) -> Root | None:
        """The row of the root at this path."""
        with self.reading() as connection:
            return _root_where(connection, root_table.c.path == path)

    def refreshed(self, root: Root) -> Root:
        """The root at the path that we know, with what other processes wrote of it meanwhile: its
        marker, a person's word that it may be pruned, the rules for names."""
        with self.reading() as connection:
            known = _root_where(connection, root_table.c.root_id == root.root_id)
        return root if known is None else replace(known, path=root.path)

    def root_of_marker(self, uuid: str) -> Root | None:
        """The row of the root that bears this marker, wherever it was."""
        with self.reading() as connection:
            return _root_where(connection, root_table.c.uuid == uuid)

    def move_root(self, root: Root, path: str) -> Root:
        """Note that a root is at another path now."""
        with self.writing() as connection:
            # Another root that was there has moved, too; it is known by its own marker.
            connection.execute(
                update(root_table)
                .where(root_table.c.path == path)
                .values(path=root_table.c.path + " (moved away)")
            )
            connection.execute(
                update(root_table).where(root_table.c.root_id == root.root_id).values(path=path)
            )
        return replace(root, path=path)

    def add_root(self, path: str) -> Root:
        """The row of the root at this path, made where there is none."""
        known = self.root(path)
        if known is not None:
            return known
        # Two newcomers may meet it at once; the second finds the row of the first.
        with suppress(IntegrityError), self.writing() as connection:
            connection.execute(insert(root_table).values(path=path))
        made = self.root(path)
        assert made is not None  # inserted above
        return made

    def mark_root(self, root: Root, *, uuid: str, host: str, prune_confirmed: bool) -> Root:
        """Remember the marker that the root bears."""
        with self.writing() as connection:
            connection.execute(
                update(root_table)
                .where(root_table.c.root_id == root.root_id)
                .values(uuid=uuid, host=host, prune_confirmed=int(prune_confirmed))
            )
        return replace(root, uuid=uuid, host=host, prune_confirmed=prune_confirmed)

    def note_naming(self, root: Root, naming: str) -> Root:
        """Remember the rules for names that every row of the root was placed by."""
        with self.writing() as connection:
            connection.execute(
                update(root_table).where(root_table.c.root_id == root.root_id).values(naming=naming)
            )
        return replace(root, naming=naming)

    def mounts(self, root: Root) -> frozenset[str]:
        """The folders below the root that are or were mount points."""
        with self.reading() as connection:
            known = connection.execute(select(mount.c.path).where(mount.c.root_id == root.root_id))
            return frozenset(known.scalars())

    def add_mounts(self, root: Root, paths: Iterable[str]) -> None:
        """Remember mount points below the root."""
        with self.writing() as connection:
            connection.execute(
                insert(mount), [{"root_id": root.root_id, "path": path} for path in paths]
            )

    def adopt(self, root: Root, marker: str, *, host: str, actor: str, now: int) -> Root:
        """Believe a person that the folder at the root's path is the root, with its mount points.

        It is told in the history; a mass of models may turn missing by it, but none is pruned
        before a person says so.
        """
        with self.writing() as connection:
            connection.execute(delete(mount).where(mount.c.root_id == root.root_id))
            connection.execute(
                update(folder).where(folder.c.root_id == root.root_id).values(fingerprint=None)
            )
            connection.execute(
                insert(history).values(
                    at=iso(now),
                    path="",
                    verb=Verb.ADOPTED,
                    cause=Cause.REQUEST,
                    actor=actor,
                    details=json.dumps({"uuid": marker, "before": root.uuid}),
                )
            )
        return self.mark_root(root, uuid=marker, host=host, prune_confirmed=False)

    # -- the cycle --------------------------------------------------------------------------------

    def load(self, root_id: int, scope: Scope) -> list[Record]:
        """The rows on disk whose folder the scope covers."""
        with self.reading() as connection:
            return records.load(connection, root_id, scope)

    def load_folders(self, root_id: int, paths: Iterable[str]) -> list[Record]:
        """The rows on disk of these folders alone."""
        with self.reading() as connection:
            return records.load_folders(connection, root_id, paths)

    def fingerprints(self, root_id: int, scope: Scope) -> dict[str, bytes | None]:
        """The folders of the scope that hold models -> the fingerprint of their listing."""
        with self.reading() as connection:
            return records.load_fingerprints(connection, root_id, scope)

    def note_folders(
        self,
        root_id: int,
        listed: Mapping[str, bytes],
        held: Mapping[str, bytes | None],
        stamp: bytes,
    ) -> None:
        """Remember the listings that the rows are equal to, unless others wrote those meanwhile."""
        with self.writing() as connection:
            records.note_folders(connection, root_id, listed, held, stamp)

    def forget_folders(self, root_id: int, paths: Iterable[str]) -> None:
        """Forget those of some folders that no model on disk lies in."""
        with self.writing() as connection:
            records.forget_folders(connection, root_id, paths)

    def find_kin(self, root_id: int, new: Iterable[tuple[Artifact, str | None]]) -> Kin:
        """The rows that new artifacts, each with its fingerprint, may continue."""
        with self.reading() as connection:
            return records.find_kin(connection, root_id, new)

    def apply(self, plan: Plan, writer: "Writer", still_holds: Callable[[Change], bool]) -> Report:
        """Write a plan, batch by batch; what no longer holds is dropped and named.

        Moves and losses go first and together: two models may swap their paths.
        """
        together, rest = _split(plan.changes)
        applied: list[Applied] = []
        dropped: list[str] = []
        for batch in [together, *(rest[at : at + BATCH] for at in range(0, len(rest), BATCH))]:
            if batch:
                done, left = self._write(batch, writer, still_holds)
                applied += done
                dropped += left
        return Report(tuple(applied), tuple(dropped))

    # -- questions --------------------------------------------------------------------------------

    def models(
        self, chosen: Filter, *, sort: str | None = None, limit: int | None = None
    ) -> list[queries.Row]:
        """The models that pass a filter."""
        with self.reading() as connection:
            return queries.list_models(connection, Question(chosen, sort=sort, limit=limit))

    def find(self, model_id: int) -> queries.Row | None:
        """Everything known of one model."""
        with self.reading() as connection:
            return queries.find_model(connection, model_id)

    def ids_at(self, path: str, root_id: int | None = None) -> list[int]:
        """The models that a path means, the likeliest first; of one root, or of any."""
        with self.reading() as connection:
            return queries.ids_at(connection, path, root_id)

    def history(
        self,
        *,
        model_id: int | None = None,
        since: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[queries.Row]:
        """What happened, oldest first."""
        with self.reading() as connection:
            return list_history(
                connection, model_id=model_id, since=since, after=after, limit=limit
            )

    def last_history_id(self) -> int:
        """The newest line of the history; 0 where there is none."""
        with self.reading() as connection:
            return last_history_id(connection)

    def states(self) -> dict[str, int]:
        """State -> number of models."""
        with self.reading() as connection:
            return queries.count_states(connection)

    def count_on_disk(self) -> int:
        """The number of models on disk, complete or not."""
        with self.reading() as connection:
            return queries.count_on_disk(connection)

    def places_of(self, ids: Sequence[int]) -> dict[int, queries.Row]:
        """What every log line of a model carries, by model_id."""
        with self.reading() as connection:
            return queries.places_of(connection, ids)

    def _write(
        self,
        batch: Sequence[Change],
        writer: "Writer",
        still_holds: Callable[[Change], bool],
    ) -> tuple[list[Applied], list[str]]:
        """A batch that fails is tried in halves, so that one odd change costs only itself.

        IntegrityError: another process registered one of these paths since it was looked at.
        The others: a value that SQLite cannot store.
        """
        from watcherd.registry.changes import write  # who only asks has no use for it

        try:
            with self.writing() as connection:
                return write(connection, batch, writer, still_holds)
        except (IntegrityError, StatementError, OverflowError, UnicodeError):
            if len(batch) == 1:
                return [], [change.path for change in batch]
        middle = len(batch) // 2
        done, left = self._write(batch[:middle], writer, still_holds)
        more, also = self._write(batch[middle:], writer, still_holds)
        return done + more, left + also


def _split(planned: Iterable[Change]) -> tuple[list[Change], list[Change]]:
    """What needs one transaction, and what does not.

    A move, what goes from its new path, and what is made anew in its old one belong together: two
    models may swap their paths.
    """
    planned = list(planned)
    moves = [change for change in planned if change.from_path]
    taken = {change.path for change in planned if change.artifact is not None}
    lost = [c for c in planned if c.artifact is None and c.path in taken]
    vacated = {change.record.path for change in (*moves, *lost) if change.record}
    anew = [c for c in planned if c.record is None and c.path in vacated]
    together = [*moves, *lost, *anew]
    seen = set(map(id, together))
    return together, [change for change in planned if id(change) not in seen]


def _root_where(connection: Connection, condition: ColumnElement[bool]) -> Root | None:
    row = connection.execute(select(root_table).where(condition)).one_or_none()
    if row is None:
        return None
    return Root(row.root_id, row.uuid, row.host, row.path, bool(row.prune_confirmed), row.naming)
