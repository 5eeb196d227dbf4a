"""Ensembles: which model on disk is the copy of which, told by the rows (docs/ensembles.md).

A copy lies in an ensemble folder of its model's interval and ticker, under the model's name, with
its content. Whether it does is concluded inside the transaction that writes what changed, so that
no crash leaves the two at odds.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, func, insert, select, update

from watcherd.artifact import Form
from watcherd.plan import ON_DISK, Applied, Bond, Ensembling, State, Verb
from watcherd.registry import copying
from watcherd.registry.intents import By
from watcherd.registry.lines import find_meant, line
from watcherd.registry.members import IS_MEMBER
from watcherd.registry.records import IS_ON_DISK, chunks
from watcherd.registry.tables import history, model

if TYPE_CHECKING:
    from watcherd.registry.changes import Writer


class One(NamedTuple):
    """What tells of a row whether it is a copy, and of what."""

    model_id: int
    path: str
    model_name: str
    interval: str | None
    ticker: str | None
    type: str | None
    ensemble_type: str | None
    state: str
    fingerprint: str | None
    copy_of: int | None

    @property
    def place(self) -> tuple[str | None, str | None]:
        """Copies and their model share it."""
        return self.interval, self.ticker

    @property
    def name(self) -> str:
        """Folders within the type folder need not be kept by who copies."""
        return self.path.rpartition("/")[2]

    @property
    def is_member(self) -> bool:
        """Whether it lies in an ensemble folder."""
        return self.type is None and self.ensemble_type is not None

    @property
    def is_on_disk(self) -> bool:
        return self.state in ON_DISK


_COLUMNS = tuple(model.c[name] for name in One._fields)


def model_of(
    member: One,
    known: One | None,
    alike: Iterable[One],
    meant: int | None = None,
    former: One | None = None,
) -> int | None:
    """The model_id of what a member of an ensemble is a copy of; None where nothing fits.

    ``known``: what it was a copy of until now. ``alike``: the models of its content. ``meant``:
    what a person had copied there. ``former``: the model that had its content before. Content
    decides between equal names; where even that is equal, the longer agreement of names, then the
    older model. A copy whose model was trained anew stays its copy, and so does one whose model is
    gone.
    """
    fits = _fits(member, alike)
    for one in fits:
        if one.model_id == meant:
            return meant
    is_here = known is not None and known.place == member.place and not known.is_member
    if known is not None and is_here and known.fingerprint == member.fingerprint:
        return known.model_id
    if fits:
        return _first(member, fits).model_id
    if known is not None and is_here:
        return known.model_id
    return former.model_id if former is not None else None


def _fits(member: One, models: Iterable[One]) -> list[One]:
    """Those of the models that it may be a copy of, by where it lies and its name."""
    return [one for one in models if one.place == member.place and one.name == member.name]


def _first(member: One, fits: Iterable[One]) -> One:
    return min(fits, key=lambda one: (one.model_name != member.model_name, one.model_id))


def join(
    connection: Connection, applied: Sequence[Applied], writer: "Writer"
) -> dict[int, tuple[Ensembling, ...]]:
    """Conclude what is a copy of what, as far as changes touch it; says what is different now.

    Returns the news by the model_id of the change that made them.
    """
    if not _has_members(connection):
        return {}
    changed = {one.model_id: one for one in applied}
    look = _Look.at(connection, writer, changed)
    news: defaultdict[int, list[Ensembling]] = defaultdict(list)
    touched = {one.copy_of for one in look.members.values()}
    arrived = []
    for member in look.members.values():
        after = look.model_of(member)
        if after != member.copy_of:
            _set_model(connection, member.model_id, after)
            touched.add(after)
        for one in look.news_of(member, after):
            news[member.model_id if member.model_id in changed else one.model_id].append(one)
        if (meant := look.meant.get(member.path)) and meant.model_id == after:
            arrived.append(meant)
    _tell_models(connection, [one for one in touched if one is not None])
    by = _find_actors(connection, applied, writer)
    _write_lines(connection, [one for some in news.values() for one in some], look, by)
    # Where something else lies there, a copy may still be in the making: that is for ``recovery``.
    copying.drop(connection, writer.root_id, arrived)
    return {model_id: tuple(some) for model_id, some in news.items()}


def _has_members(connection: Connection) -> bool:
    """Whether anything lies in an ensemble, or was a copy: else nothing is to be concluded."""
    asked = select(model.c.model_id).limit(1)
    conditions = (IS_MEMBER, model.c.copy_of.is_not(None))
    return any(connection.execute(asked.where(one)).first() for one in conditions)


@dataclass(frozen=True, slots=True)
class _Look:
    """The rows that a batch of changes makes a copy of something, or nothing."""

    writer: "Writer"
    changed: Mapping[int, Applied]
    members: Mapping[int, One]
    """By model_id: what lies in ensembles, or did."""
    known: Mapping[int, One]
    """By model_id: what they were copies of."""
    alike: Mapping[str | None, Sequence[One]]
    """Fingerprint -> the models of that content."""
    meant: Mapping[str, copying.Meant]
    """Path -> what a person had copied there."""
    former: Mapping[int, One]
    """By the model_id of a member that is no copy yet: the model that had its content before."""

    @classmethod
    def at(
        cls, connection: Connection, writer: "Writer", changed: Mapping[int, Applied]
    ) -> "_Look":
        root_id, ids = writer.root_id, sorted(changed)
        rows = _find(connection, root_id, model.c.model_id, ids)
        copies = _find(connection, root_id, model.c.copy_of, ids)
        contents = sorted({one.fingerprint for one in rows if one.fingerprint and one.type})
        of_an_ensemble = (IS_MEMBER, IS_ON_DISK)
        fitting = _find(connection, root_id, model.c.fingerprint, contents, *of_an_ensemble)
        members = {
            one.model_id: one
            for one in (*rows, *copies, *fitting)
            if one.is_member or one.copy_of is not None
        }
        sources = sorted({one.copy_of for one in members.values() if one.copy_of is not None})
        sought = sorted({m.fingerprint for m in members.values() if m.fingerprint and m.is_on_disk})
        alike: defaultdict[str | None, list[One]] = defaultdict(list)
        of_a_type = (model.c.type.is_not(None), IS_ON_DISK)
        for one in _find(connection, root_id, model.c.fingerprint, sought, *of_a_type):
            alike[one.fingerprint].append(one)
        paths = [member.path for member in members.values() if member.is_on_disk]
        strangers = [
            member
            for member in members.values()
            if member.copy_of is None and member.is_member and member.is_on_disk
            if not _fits(member, alike[member.fingerprint])
        ]
        former = _find_former(connection, root_id, strangers)
        known = (*former.values(), *_find(connection, root_id, model.c.model_id, sources))
        return cls(
            writer,
            changed,
            members,
            {one.model_id: one for one in known},
            alike,
            copying.find(connection, root_id, paths),
            former,
        )

    def model_of(self, member: One) -> int | None:
        if not member.is_on_disk:
            return member.copy_of  # should it come back, it is a copy again
        if not member.is_member:
            return None
        meant = self.meant.get(member.path)
        return model_of(
            member,
            self.known.get(member.copy_of) if member.copy_of is not None else None,
            self.alike.get(member.fingerprint, ()),
            meant.model_id if meant else None,
            self.former.get(member.model_id),
        )

    def news_of(self, member: One, after: int | None) -> list[Ensembling]:
        """What is different now between a member and its model."""
        was = member.copy_of if self._was_on_disk(member) else None
        now = after if member.is_on_disk else None
        before = self._path_before(member)
        stays = was == now and self._kind_of(before) == self._kind_of(member.path)
        news = []
        if was is not None and not stays:
            news.append(self._tell(Bond.LEFT, was, member, before))
        if now is not None and not stays:
            news.append(self._tell(Bond.JOINED, now, member, member.path))
        if now is not None and self._is_outdated(now, member, stays=stays):
            news.append(self._tell(Bond.OUTDATED, now, member, member.path))
        return news

    def _is_outdated(self, model_id: int, member: One, *, stays: bool) -> bool:
        """Whether it is out of date, and was not until now."""
        if stays:
            return self._has_parted(self.known[model_id], member)
        its = self.former.get(member.model_id)
        if its is None or its.model_id != model_id or not its.is_on_disk:
            return False
        return its.fingerprint != member.fingerprint

    def _tell(self, bond: Bond, model_id: int, member: One, path: str) -> Ensembling:
        source = self.known.get(model_id) or self._alike(model_id, member)
        return Ensembling(bond, model_id, source.path, path, self._kind_of(path))

    def _kind_of(self, path: str) -> str | None:
        """The ensemble that a path lies in, or lay in before the rules for names were others."""
        placement = self.writer.naming.place(path, Form.HDF5)
        return placement.ensemble_type or placement.type

    def _path_before(self, one: One) -> str:
        before = self.changed.get(one.model_id)
        return before.change.record.path if before and before.change.record else one.path

    def _alike(self, model_id: int, member: One) -> One:
        return next(one for one in self.alike[member.fingerprint] if one.model_id == model_id)

    def _was_on_disk(self, one: One) -> bool:
        before = self.changed.get(one.model_id)
        if before is None:
            return one.is_on_disk
        return before.change.record is not None and before.change.record.state in ON_DISK

    def _has_parted(self, source: One, member: One) -> bool:
        """Whether the two were of one content until now."""
        before, now = self._content_before(source), source.fingerprint
        was_equal = before == self._content_before(member)
        return source.is_on_disk and was_equal and now != member.fingerprint

    def _content_before(self, one: One) -> str | None:
        applied = self.changed.get(one.model_id)
        if applied is None or applied.change.record is None:
            return one.fingerprint
        return applied.change.record.fingerprint


def _find(
    connection: Connection,
    root_id: int,
    key: Column[Any],
    values: Sequence[Any],
    *where: ColumnElement[bool],
) -> list[One]:
    """The rows whose ``key`` is one of some values, and that meet the other conditions."""
    return [
        One(*row)
        for some in chunks(values)
        for row in connection.execute(
            select(*_COLUMNS).where(key.in_(some), model.c.root_id == root_id, *where)
        )
    ]


def _find_former(connection: Connection, root_id: int, members: Iterable[One]) -> dict[int, One]:
    """By member: the model of its name that held its content, as the history tells, and was trained
    anew, or gone by itself, before the copy was seen."""
    at: defaultdict[tuple[str | None, str | None], list[One]] = defaultdict(list)
    for member in members:
        at[member.place].append(member)
    found = {}
    for place, some in at.items():
        beside = _find_beside(connection, root_id, place, {member.name for member in some})
        for member in some:
            if had := _held(connection, _fits(member, beside), member.fingerprint):
                here = [one for one in had if one.is_on_disk]
                found[member.model_id] = _first(member, here or had)
    return found


def _find_beside(
    connection: Connection,
    root_id: int,
    place: tuple[str | None, str | None],
    names: Collection[str],
) -> list[One]:
    """The models of an interval and ticker that bear one of some names, those gone by themselves
    among them."""
    interval, ticker = place
    of_a_place = (
        model.c.interval.is_not_distinct_from(interval),
        model.c.ticker.is_not_distinct_from(ticker),
        model.c.type.is_not(None),
        model.c.state.in_(sorted({*ON_DISK, State.MISSING})),
    )
    models = _find(connection, root_id, model.c.root_id, [root_id], *of_a_place)
    return [one for one in models if one.name in names]


def _held(connection: Connection, models: Sequence[One], fingerprint: str | None) -> list[One]:
    """Those of the models that were ever of this content."""
    told = func.json_extract(history.c.details, "$.fingerprint")
    by_id = {one.model_id: one for one in models}
    asked = select(history.c.model_id).where(history.c.model_id.in_(by_id), told == fingerprint)
    return [by_id[model_id] for model_id in connection.execute(asked.distinct()).scalars()]


def _set_model(connection: Connection, model_id: int, copy_of: int | None) -> None:
    connection.execute(update(model).where(model.c.model_id == model_id).values(copy_of=copy_of))


def _tell_models(connection: Connection, ids: Iterable[int]) -> None:
    """What the rows of models say of their copies; the revision stays, as nothing that was
    decided upon them is different."""
    copy = model.alias()
    for model_id in ids:
        copies = select(copy.c.ensemble_type).where(
            copy.c.copy_of == model_id, copy.c.state.in_(sorted(ON_DISK))
        )
        kinds = sorted({kind for kind in connection.execute(copies).scalars() if kind})
        of_it = update(model).where(model.c.model_id == model_id)
        connection.execute(of_it.values(ensemble=int(bool(kinds))))
        told = ", ".join(kinds) or None
        connection.execute(of_it.where(model.c.type.is_not(None)).values(ensemble_type=told))


_VERBS = {Bond.JOINED: Verb.ENSEMBLED, Bond.LEFT: Verb.UNENSEMBLED}


def _find_actors(
    connection: Connection, applied: Iterable[Applied], writer: "Writer"
) -> dict[str, By]:
    """Path -> who moved it to the trash, or back, whichever process sees it."""
    meant = find_meant(connection, applied)
    return {
        one.change.path: By(row["actor"] or writer.actor, row["cause"] or writer.cause)
        for one in applied
        if (row := meant.get(one.model_id))
    }


def _write_lines(
    connection: Connection, news: Iterable[Ensembling], look: _Look, actors: Mapping[str, By]
) -> None:
    """In the history of the models, not of their copies: those have lines of their own."""
    writer = look.writer
    rows = []
    for one in news:
        if one.bond in _VERBS:
            meant = look.meant.get(one.copy_path)
            seen_by = By(meant.actor if meant else writer.actor, writer.cause)
            by = actors.get(one.copy_path, seen_by)
            told = {"ensemble_type": one.ensemble_type, "copy": one.copy_path}
            verb = _VERBS[one.bond]
            rows.append(line(one.model_id, one.path, verb, by, writer.now, details=told))
    if rows:
        connection.execute(insert(history), rows)
