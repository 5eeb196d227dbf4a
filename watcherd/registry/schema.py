"""Which schema a registry has, and how it gets the present one.

Alembic is imported only where the version differs: it costs 0.3 s and 10 MB.
"""

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from watcherd.errors import RegistryError

HEAD = "0002"
"""The revision that this program reads and writes."""

_VIEW = re.compile(r"CREATE VIEW (\w+)")
_MIGRATIONS = Path(__file__).with_name("migrations")


def revision_of(connection: Connection) -> str | None:
    """The registry's revision; None where it has none of our tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def is_known(revision: str | None) -> bool:
    """Whether this program has the migrations from that revision on."""
    return revision is None or any(_MIGRATIONS.glob(f"versions/{revision}_*.py"))


def refuse_unknown(revision: str | None, url: str) -> None:
    """Raise where the registry was written by a newer program."""
    if not is_known(revision):
        raise RegistryError(
            f"the registry {url} has schema {revision}, made by a newer watcherd than this one",
            hint="install that version again, or restore the copy it made before migrating",
        )


def upgrade(connection: Connection) -> None:
    """Bring the registry to ``HEAD``, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    _make_views(connection)


def _make_views(connection: Connection) -> None:
    """Views hold nothing: they are made anew, so that no migration knows the views of another."""
    statements = (_MIGRATIONS / "views.sql").read_text(encoding="utf-8").split("\n;\n")
    for statement in filter(str.strip, statements):
        name = _VIEW.search(statement)
        assert name is not None  # every statement of that file makes a view
        connection.execute(text(f"DROP VIEW IF EXISTS {name[1]}"))
        connection.exec_driver_sql(statement)
