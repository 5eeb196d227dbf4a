"""Alembic's environment: runs on the connection that ``watcherd.registry.schema`` hands over."""

from alembic import context

from watcherd.registry.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # One transaction for all steps and their records: the caller's own.
    transactional_ddl=True,
)
context.run_migrations()
