"""The files that notes name as companions of several models: they stay until the last one goes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import Connection, delete, select

from watcherd.artifact import Role
from watcherd.plan import Record
from watcherd.registry.records import IS_ON_DISK, chunks
from watcherd.registry.tables import model, model_file


def leave_shared(connection: Connection, records: Mapping[int, Record]) -> dict[int, Record]:
    """What is to go, without the companions that other models on disk have, too.

    Those are no files of what goes any more. Of several that go together the last takes them along.
    """
    holders = _holders(connection, records.values())
    going: dict[int, Record] = {}
    for model_id, record in records.items():
        for path in (paths := companions_of(record)):
            holders[path].discard(model_id)
        shared = {path for path in paths if holders[path]}
        _forget(connection, model_id, shared)
        parts = tuple(part for part in record.parts if part.path not in shared)
        going[model_id] = replace(record, parts=parts)
    return going


def companions_of(record: Record) -> list[str]:
    """The paths of the files that accompany a model, as last seen."""
    return [part.path for part in record.parts if part.role is Role.COMPANION]


def _holders(connection: Connection, records: Iterable[Record]) -> defaultdict[str, set[int]]:
    """Path -> the models on disk that it accompanies."""
    holders: defaultdict[str, set[int]] = defaultdict(set)
    paths = sorted({path for record in records for path in companions_of(record)})
    asked = select(model_file.c.path, model_file.c.model_id).join(model).where(IS_ON_DISK)
    for some in chunks(paths):
        here = (model_file.c.path.in_(some), model_file.c.role == Role.COMPANION)
        for path, model_id in connection.execute(asked.where(*here)):
            holders[path].add(model_id)
    return holders


def _forget(connection: Connection, model_id: int, paths: Iterable[str]) -> None:
    for path in paths:
        connection.execute(
            delete(model_file).where(model_file.c.model_id == model_id, model_file.c.path == path)
        )
