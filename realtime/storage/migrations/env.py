"""Alembic runs this for each command, on the connection that `storage.migrate` holds the lock on."""

from alembic import context

from realtime.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite can undo its DDL too, if the transaction is begun by hand, as it is here.
    transactional_ddl=connection.dialect.name != "mysql",
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
