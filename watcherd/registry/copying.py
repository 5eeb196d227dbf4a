"""The intents to copy a model into an ensemble: who means what to be the copy of which.

An intent stands before the first file is copied and goes when the cycle knows the copy. By it the
history names the person, and the copy finds its model though another one be of the same content.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, insert, select

from watcherd.registry.records import IS_ON_DISK, chunks
from watcherd.registry.tables import copying, model, trash

if TYPE_CHECKING:
    from watcherd.registry.store import Registry


@dataclass(frozen=True, slots=True)
class Meant:
    """The intent to copy a model into an ensemble. It goes when the copy is known as one."""

    path: str
    """Of the copy."""
    model_id: int
    trash_path: str
    """Where the copy is made, before it is moved to its path."""
    actor: str


_COLUMNS = tuple(copying.c[name] for name in Meant.__dataclass_fields__)


def mean(registry: "Registry", root_id: int, meant: Meant) -> bool:
    """Write the intent to copy a model; False where another stands for the same path."""
    with registry.writing() as connection:
        if find(connection, root_id, [meant.path]):
            return False
        connection.execute(insert(copying).values(root_id=root_id, **asdict(meant)))
    return True


def list_all(registry: "Registry", root_id: int) -> list[Meant]:
    """What was to be copied, and is not known as a copy yet."""
    with registry.reading() as connection:
        rows = connection.execute(select(*_COLUMNS).where(copying.c.root_id == root_id))
        return [Meant(*row) for row in rows]


def forget(registry: "Registry", root_id: int, meant: Sequence[Meant]) -> None:
    """Drop these intents; one that was written for the same path since then stays."""
    with registry.writing() as connection:
        drop(connection, root_id, meant)


def are_copied(registry: "Registry", ids: Sequence[int]) -> frozenset[int]:
    """Those of some models of which a copy is on its way into an ensemble."""
    asked = select(copying.c.model_id)
    with registry.reading() as connection:
        return frozenset(
            model_id
            for some in chunks(ids)
            for model_id in connection.execute(asked.where(copying.c.model_id.in_(some))).scalars()
        )


def known_at(registry: "Registry", root_id: int, path: str) -> int | None:
    """The model_id of the row on disk that tells of this path: what it is a copy of is concluded,
    then. The row of an earlier copy, which is on its way out, tells nothing of this one."""
    is_leaving = model.c.model_id.in_(select(trash.c.model_id))
    known = (model.c.root_id == root_id, model.c.path == path, IS_ON_DISK, ~is_leaving)
    with registry.reading() as connection:
        return connection.execute(select(model.c.model_id).where(*known)).scalar()


def find(connection: Connection, root_id: int, paths: Sequence[str]) -> dict[str, Meant]:
    """Path -> the intent to copy something there."""
    return {
        row.path: Meant(*row)
        for some in chunks(paths)
        for row in connection.execute(
            select(*_COLUMNS).where(copying.c.root_id == root_id, copying.c.path.in_(some))
        )
    }


def drop(connection: Connection, root_id: int, meant: Iterable[Meant]) -> None:
    """As ``forget``, within a transaction."""
    for one in meant:
        same = (copying.c.path == one.path, copying.c.trash_path == one.trash_path)
        connection.execute(delete(copying).where(copying.c.root_id == root_id, *same))
