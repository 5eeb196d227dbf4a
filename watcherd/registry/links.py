"""The symlinks below the root that a look has seen: what one of them leads to is never pruned."""

from collections.abc import Iterable

from sqlalchemy import delete, insert, select

from watcherd.registry.records import chunks
from watcherd.registry.store import Registry
from watcherd.registry.tables import link


def load_links(registry: Registry, root_id: int) -> frozenset[str]:
    """The paths of the symlinks, below the root; where they lead to, the disk tells."""
    with registry.reading() as connection:
        known = connection.execute(select(link.c.path).where(link.c.root_id == root_id))
        return frozenset(known.scalars())


def note_links(
    registry: Registry, root_id: int, *, seen: Iterable[str], gone: Iterable[str]
) -> None:
    """Remember links, and forget those that are gone. Both may be known already."""
    with registry.writing() as connection:
        for some in chunks(sorted({*seen, *gone})):
            here = (link.c.root_id == root_id, link.c.path.in_(some))
            connection.execute(delete(link).where(*here))
        rows = [{"root_id": root_id, "path": path} for path in seen]
        if rows:
            connection.execute(insert(link), rows)
