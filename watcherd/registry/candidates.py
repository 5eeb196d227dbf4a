"""Every model on disk as retention sees it, with its marks, tags and results.

A result counts only where its fingerprint is the model's: what an overwritten file achieved says
nothing about the present one.
"""

from array import array
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, overload

from sqlalchemy import Connection, Row, ScalarSelect, Select, func, select

from watcherd.plan import NOTHING, Candidate, State
from watcherd.registry.clock import ns_of
from watcherd.registry.records import IS_ON_DISK
from watcherd.registry.store import Registry
from watcherd.registry.tables import alias, architecture, copying, model, result, tag

ROWS = 5_000
"""Rows fetched at a time: all at once, a million would take a gigabyte."""

Tags = Mapping[str, str | None]
Kind = tuple[str | None, str | None, str | None, str, str, str | None]
"""A candidate's fields from interval to architecture: the same for a whole family."""
Standing = tuple[int, bool, bool, bool, bool]
"""From revision to ensemble: the same for most."""
T = TypeVar("T")

_NO_STEP = -(2**63)
_FIRST, _LAST = -(2**63), 2**63 - 1
"""The nanoseconds that a column holds: from the year 1677 to 2262."""

_READ = tuple(
    model.c[name]
    for name in (
        *("model_id", "path", "interval", "ticker", "type", "format", "family"),
        *("architecture_id", "step", "state", "modified_at", "placed_at", "size_bytes"),
        *("revision", "resume", "pinned", "ensemble", "ensemble_type"),
    )
)
_COLUMNS = len(_READ)
_STATES = {str(state): state for state in State}


class Candidates(Sequence[Candidate]):
    """Candidates in columns, each made when it is looked at: a million take 175 MB and not 410.

    What many of them share (placement and family; marks) is kept once.
    """

    def __init__(self, metrics: Collection[str] = ()) -> None:
        self._ids = array("q")
        self._paths: list[str] = []
        self._kinds: list[Kind] = []
        self._steps = array("q")
        self._states: list[State] = []
        self._modified = array("q")
        self._seen = array("q")
        self._sizes = array("q")
        self._standings: list[Standing] = []
        self._tags: dict[int, Tags] = {}
        """Place -> tags, of those that have any."""
        self._results: dict[str, list[float | None]] = {metric: [] for metric in metrics}
        """Metric -> a value for each place; None where there is none."""
        self._shared: dict[object, Any] = {}

    def append(self, one: Candidate) -> None:
        """Add one. Of its results only the metrics that were asked for are kept."""
        if one.tags:
            self._tags[len(self)] = one.tags
        self._ids.append(one.model_id)
        self._paths.append(one.path)
        self._kinds.append(self._share(one[2:8]))
        self._steps.append(_NO_STEP if one.step is None else one.step)
        self._states.append(one.state)
        self._modified.append(one.modified_ns)
        self._seen.append(one.seen_ns)
        self._sizes.append(one.size_bytes)
        self._standings.append(self._share(one[13:18]))
        for metric, column in self._results.items():
            column.append(one.results.get(metric))

    def _share(self, values: T) -> T:
        found: T = self._shared.setdefault(values, values)
        return found

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, at: int) -> Candidate: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Candidate, ...]: ...
    def __getitem__(self, at: int | slice) -> Candidate | tuple[Candidate, ...]:
        if isinstance(at, slice):
            return tuple(map(self.__getitem__, range(len(self))[at]))
        step = self._steps[at]
        return Candidate(
            self._ids[at],
            self._paths[at],
            *self._kinds[at],
            None if step == _NO_STEP else step,
            self._states[at],
            self._modified[at],
            self._seen[at],
            self._sizes[at],
            *self._standings[at],
            self._tags.get(at, NOTHING),
            self._results_at(at) if self._results else NOTHING,
        )

    def _results_at(self, at: int) -> Mapping[str, float]:
        return {
            metric: value
            for metric, column in self._results.items()
            if (value := column[at]) is not None
        }


def load_candidates(
    registry: Registry, root_id: int, metrics: Collection[str], *, folder: str | None = None
) -> Candidates:
    """Every model on disk, by path; copies in ensembles go with their models.

    ``metrics``: those whose newest results are wanted; each costs a look a model. ``folder``: only
    the models in it and below it, which are whole families.
    """
    wanted = sorted(metrics)
    found = Candidates(wanted)
    with registry.reading() as connection:
        candidate = _Reader(connection, wanted).candidate
        asked = _models(root_id, wanted)
        if folder:
            # A range, so that the index serves it: ``0`` is the character after ``/``.
            asked = asked.where(model.c.path > f"{folder}/", model.c.path < f"{folder}0")
        rows = connection.execute(asked, execution_options={"yield_per": ROWS})
        for row in rows:
            found.append(candidate(row))
    return found


class _Reader:
    """Makes candidates of rows, with what is better read once for all of them."""

    def __init__(self, connection: Connection, metrics: Sequence[str]) -> None:
        self._metrics = metrics
        self._aliased = frozenset(connection.execute(select(alias.c.model_id)).scalars())
        # Its copy is on the way into an ensemble.
        self._copied = frozenset(connection.execute(select(copying.c.model_id)).scalars())
        self._tags = _load_tags(connection)
        self._likeness = _load_likeness(connection)
        # Most models were seen in the same few looks.
        self._seen_ns = lru_cache(maxsize=1024)(_ns)

    def candidate(self, row: Row[Any]) -> Candidate:
        # Unpacked, because looking up each column by its name takes three times as long.
        (
            model_id, path, interval, ticker, type_, format_, family, architecture_id, step, state,
            modified_at, placed_at, size_bytes, revision, resume, pinned, ensemble, ensemble_type,
        ) = row[:_COLUMNS]  # fmt: skip
        return Candidate(
            model_id,
            path,
            interval,
            ticker,
            type_,
            format_,
            family,
            self._likeness.get(architecture_id),
            step,
            _STATES[state],
            _ns(modified_at),
            self._seen_ns(placed_at),
            size_bytes,
            revision,
            bool(resume),
            bool(pinned),
            model_id in self._aliased,
            bool(ensemble) or ensemble_type is not None or model_id in self._copied,
            self._tags.get(model_id, NOTHING),
            self._results(row[_COLUMNS:]) if self._metrics else NOTHING,
        )

    def _results(self, values: Sequence[Any]) -> Mapping[str, float]:
        known = zip(self._metrics, values, strict=True)
        return {metric: float(value) for metric, value in known if value is not None}


def _models(root_id: int, metrics: Sequence[str]) -> Select[Any]:
    return (
        select(*_READ, *(_newest(metric) for metric in metrics))
        .where(model.c.root_id == root_id, IS_ON_DISK, model.c.copy_of.is_(None))
        .order_by(model.c.path)
    )


def _newest(metric: str) -> ScalarSelect[Any]:
    """The newest result of a model's present content. SQLite stores NaN as null, which is a value
    here: "none yet" is no row at all."""
    return (
        select(func.coalesce(result.c.value, "nan"))
        .where(
            result.c.model_id == model.c.model_id,
            result.c.metric == metric,
            result.c.fingerprint == model.c.fingerprint,
        )
        .order_by(result.c.result_id.desc())
        .limit(1)
        .correlate(model)
        .scalar_subquery()
    )


def _load_tags(connection: Connection) -> dict[int, Tags]:
    """model_id -> its tags; equal ones are one mapping."""
    tags: defaultdict[int, dict[str, str | None]] = defaultdict(dict)
    for model_id, key, value in connection.execute(select(tag.c.model_id, tag.c.key, tag.c.value)):
        tags[model_id][key] = value
    shared: dict[tuple[tuple[str, str | None], ...], Tags] = {}
    return {
        model_id: shared.setdefault(tuple(sorted(of.items(), key=lambda one: one[0])), of)
        for model_id, of in tags.items()
    }


def _load_likeness(connection: Connection) -> dict[int, str | None]:
    """architecture_id -> what configs that differ in automatic names only have in common."""
    asked = select(architecture.c.architecture_id, architecture.c.likeness)
    return {row.architecture_id: row.likeness for row in connection.execute(asked)}


def _ns(text: str) -> int:
    return min(max(ns_of(text), _FIRST), _LAST)
