"""What Alembic runs for every command: the migrations, on the connection that `storage.migrate` holds."""

from alembic import context

from storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
