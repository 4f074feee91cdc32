"""Alembic's entry: it always runs inside a transaction that listener.storage.migrate hands over."""

from alembic import context

from listener.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
