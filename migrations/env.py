"""How Alembic reaches the database: through a connection that `app.migrate` hands over."""

from alembic import context
from sqlalchemy import Connection

from migrations.metadata import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
