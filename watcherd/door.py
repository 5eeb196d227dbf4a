"""The Python door: what the registry knows, for notebooks and jobs (docs/python.md).

It only reads, beside a running daemon or without one, and also as a user who may only read.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from watcherd import opening
from watcherd.answers import Change, Model, change_of, model_of
from watcherd.artifact import FileFact, Part, Role
from watcherd.config.times import iso_of, start_of
from watcherd.errors import NoSuchModel, Refused, RootSuspended
from watcherd.plan import Format, State
from watcherd.registry import Best, Filter, Question, architectures, queries
from watcherd.registry import Registry as OpenRegistry
from watcherd.registry.question import Mode, mode_of
from watcherd.root import HOUSE, open_root, read_marker

if TYPE_CHECKING:
    import pandas


class Filters(TypedDict, total=False):
    """Which models: what ``watcherd list`` filters by (docs/commands.md). Globs ignore case."""

    interval: str
    ticker: str
    type: str
    format: str
    family: str
    optimizer: str
    architecture: int | str
    state: str | Iterable[str]
    """``all`` for every one; else those that are present."""
    tag: str | Iterable[str]
    unplaced: bool
    ensemble: bool
    where: str | Iterable[str]
    """``sharpe > 1``: a condition, or several that all must hold."""


class Registry:
    """The registry of a models root; every question is asked of its present state.

    ``url_or_root`` is the models root's folder, or the registry's URL. Raises RegistryError where
    there is none to be read.
    """

    def __init__(self, url_or_root: str | os.PathLike[str]) -> None:
        self._url = _url_of(os.fspath(url_or_root))
        self._open().close()

    def __repr__(self) -> str:
        return f"Registry({self._url!r})"

    def list(
        self, *, sort: str | None = None, limit: int | None = None, **filters: Unpack[Filters]
    ) -> tuple[Model, ...]:
        """The models that are present, or those that pass the filters, in the order of their paths.

        ``sort`` is a column or metric, descending with a leading ``-``. Raises UsageError for what
        is not known.
        """
        return self._ask(Question(_filter(filters), sort=sort, limit=limit))

    def best(
        self,
        metric: str,
        *,
        mode: Mode | None = None,
        per: str | Iterable[str] = (),
        **filters: Unpack[Filters],
    ) -> tuple[Model, ...]:
        """The best model by a result, or of each group, the best first.

        ``mode``: ``max`` or ``min``; without it least where the metric's name speaks of a loss or
        an error. ``per``: a column such as ``ticker``, or several. Only results of a model's
        present content count; models without one are left out.
        """
        best = Best(metric, mode or mode_of(metric), _words(per))
        return self._ask(Question(_filter(filters), best=best))

    def latest(self, family: str) -> Model | None:
        """The newest present model of a family: by time, then step, then path."""
        found = self._ask(Question(Filter(where=(f"family = {family}",))))
        return max(found, key=lambda one: (one.modified_at, one.step or 0, one.path), default=None)

    def changes(self, since: datetime | timedelta | str) -> tuple[Change, ...]:
        """What happened since a time, or in the time before now (``1h``), oldest first."""
        with self._open() as registry:
            rows = registry.history(since=_start(since))
        return tuple(map(change_of, rows))

    def frame(
        self, *, sort: str | None = None, limit: int | None = None, **filters: Unpack[Filters]
    ) -> "pandas.DataFrame":
        """The same as ``list``, as a table of pandas: a column for each field, and for each result
        one named ``result.METRIC``. Raises Refused where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise Refused(
                "a frame is a table of pandas, which is not installed here",
                hint="pip install pandas in this environment; Registry.list needs nothing",
            ) from None
        found = self.list(sort=sort, limit=limit, **filters)
        names = [one.name for one in fields(Model)]
        frame = pandas.DataFrame(
            [[getattr(model, name) for name in names] for model in found], columns=names
        )
        metrics = sorted({metric for model in found for metric in model.results})
        for metric in metrics:
            frame[f"result.{metric}"] = [model.results.get(metric) for model in found]
        return frame.drop(columns="results").set_index("model_id")

    def open_model(
        self,
        model: Model | int | str | os.PathLike[str],
        custom_objects: Mapping[str, Any] | None = None,
        *,
        compile: bool = False,
        safe_mode: bool = True,
        architecture: int | None = None,
    ) -> Any:
        """Open a model: a Model, its id, or its path.

        A Keras model of ``.h5`` and ``.keras``; of weights alone, too, with the ``architecture_id``
        that they are to be loaded into. TensorFlow's ``CheckpointReader`` of a checkpoint. A
        SavedModel only with ``safe_mode=False``: it is a program. A model that changed since the
        registry looked is refused. Raises Refused, NoSuchModel, and whatever Keras raises.
        """
        with self._open() as registry:
            row = _row_of(registry, model)
            one = _to_open(registry, row, architecture)
        return opening.open_model(one, custom_objects, compile=compile, safe_mode=safe_mode)

    def _ask(self, question: Question) -> tuple[Model, ...]:
        with self._open() as registry, registry.reading() as connection:
            return tuple(map(model_of, queries.list_models(connection, question)))

    def _open(self) -> OpenRegistry:
        # Anew for each question: who may not write can only look at a frozen state of it.
        return OpenRegistry(self._url)


def _url_of(place: str) -> str:
    """Of a root the registry that lies in it, else the one that its marker names."""
    if "://" in place:
        return place
    root = Path(os.path.expanduser(place)).absolute()
    file = root / HOUSE / "registry.db"
    if not file.exists():
        with suppress(RootSuspended), open_root(root, None) as root_fd:
            if marker := read_marker(root_fd):
                return marker.registry
    return f"sqlite:///{file}"


def _filter(given: Filters) -> Filter:
    asked: dict[str, Any] = dict(given)
    states = asked.pop("state", (State.PRESENT,))
    architecture = asked.pop("architecture", None)
    return Filter(
        states=() if states == "all" else _words(states),
        tags=_words(asked.pop("tag", ())),
        where=_words(asked.pop("where", ())),
        architecture=None if architecture is None else str(architecture),
        **asked,
    )


def _words(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _start(since: datetime | timedelta | str) -> str:
    if isinstance(since, str):
        return start_of(since)
    return iso_of(datetime.now().astimezone() - since if isinstance(since, timedelta) else since)


def _row_of(registry: OpenRegistry, named: Model | int | str | os.PathLike[str]) -> dict[str, Any]:
    """The row of what is named; of a Model only where its content is what the Model says."""
    if isinstance(named, Model):
        ids: Sequence[int] = [named.model_id]
    else:
        ids = [named] if isinstance(named, int) else _ids_at(registry, os.fspath(named))
    row = registry.find(ids[0]) if ids else None
    if row is None:
        raise NoSuchModel(
            f"the registry knows no model {named}", hint="Registry.list() tells what it knows"
        )
    if row["state"] != State.PRESENT:
        raise Refused(
            f"{row['absolute_path']} is {row['state']}: {row['reason'] or 'it is not there'}",
            hint="watcherd show and watcherd history tell more",
        )
    if isinstance(named, Model) and row["fingerprint"] != named.fingerprint:
        raise Refused(
            f"{row['absolute_path']} was overwritten since it was listed", hint="list models again"
        )
    return row


def _ids_at(registry: OpenRegistry, path: str) -> list[int]:
    with registry.reading() as connection:
        for root in queries.root_paths(connection):
            path = path.removeprefix(f"{root}/")
    return registry.ids_at(path)


def _to_open(
    registry: OpenRegistry, row: Mapping[str, Any], architecture: int | None
) -> opening.Opened:
    with registry.reading() as connection:
        fits = architectures.fitting(connection, row)
        config = architectures.config_of(connection, architecture)
    if architecture is not None and config is None:
        raise Refused(
            f"the registry knows no architecture {architecture}",
            hint="watcherd show tells which fit; list() has every model's architecture_id",
        )
    return opening.Opened(
        root=Path(row["absolute_path"].removesuffix(f"/{row['path']}") or "/"),
        path=row["path"],
        format=Format(row["format"]),
        fingerprint=row["fingerprint"],
        parts=tuple(sorted(map(_part, row["files_seen"]), key=lambda part: part.path)),
        architecture=config,
        fits=[
            f"{fit.architecture_id} ({fit.class_name}, of {fit.models} "
            f"{'model' if fit.models == 1 else 'models'})"
            for fit in fits
        ],
    )


def _part(row: Mapping[str, Any]) -> Part:
    columns = ("size_bytes", "mtime_ns", "ctime_ns", "inode", "device")
    return Part(Role(row["role"]), row["path"], FileFact(*(row[name] for name in columns)))
