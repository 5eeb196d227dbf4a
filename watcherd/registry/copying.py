"""The intents to copy a model into an ensemble: who means what to be the copy of which.

An intent stands before the first file is copied and goes when the cycle knows the copy. By it the
history names the person, and the copy finds its model though another one be of the same content.
"""

from collections.abc import Sequence
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


def forget(registry: "Registry", root_id: int, paths: Sequence[str]) -> None:
    """Drop the intents to copy to these paths."""
    with registry.writing() as connection:
        drop(connection, root_id, paths)


def is_known(registry: "Registry", root_id: int, path: str) -> bool:
    """Whether a row on disk tells of this path: what it is a copy of is concluded, then. The row of
    an earlier copy, which is on its way out, tells nothing of this one."""
    is_leaving = model.c.model_id.in_(select(trash.c.model_id))
    known = (model.c.root_id == root_id, model.c.path == path, IS_ON_DISK, ~is_leaving)
    with registry.reading() as connection:
        return connection.execute(select(model.c.model_id).where(*known)).first() is not None


def find(connection: Connection, root_id: int, paths: Sequence[str]) -> dict[str, Meant]:
    """Path -> the intent to copy something there."""
    return {
        row.path: Meant(*row)
        for some in chunks(paths)
        for row in connection.execute(
            select(*_COLUMNS).where(copying.c.root_id == root_id, copying.c.path.in_(some))
        )
    }


def drop(connection: Connection, root_id: int, paths: Sequence[str]) -> None:
    """As ``forget``, within a transaction."""
    for some in chunks(paths):
        connection.execute(
            delete(copying).where(copying.c.root_id == root_id, copying.c.path.in_(some))
        )
