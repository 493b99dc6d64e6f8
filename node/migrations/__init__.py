"""Schema migrations of the node's own store, by Alembic.

A node upgrades its schema when it starts; on PostgreSQL an advisory lock lets one
of several processes do it while the others wait.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from node.adapters.sql.store import engine_for
from node.errors import Unavailable

_LOCK = 0x6669656C64  # "field"


def upgrade(url: str) -> None:
    """Bring the schema of a store to the newest version.

    Args:
        url: The store's URL, as in the settings.

    Raises:
        Unavailable: The database did not answer.
    """
    engine = engine_for(url)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                lock = sa.func.pg_advisory_xact_lock(_LOCK)
                connection.execute(sa.select(lock))
            command.upgrade(configuration(connection), "head")
    except sa.exc.DBAPIError as error:
        detail = "The node's own database did not answer."
        raise Unavailable("store.unavailable", detail) from error
    finally:
        engine.dispose()


def configuration(connection: sa.Connection) -> Config:
    """Return Alembic's configuration for a connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
