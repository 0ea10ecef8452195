"""What Alembic runs for each of its commands: here they have a connection already."""

from __future__ import annotations

from alembic import context

from dimseproxy.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
