"""Search all that a service keeps for a name."""

from pathlib import Path

import sqlalchemy as sa

from storage.tables import metadata


def tables_naming(engine: sa.Engine, name: str) -> set[str]:
    """The tables of the database, ours or not, with a row that contains a name, as text or in bytes."""
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        assert set(metadata.tables) <= set(names)
        return {
            table
            for table in names
            if connection.scalar(
                sa.text(f'SELECT EXISTS (SELECT FROM "{table}" AS row WHERE CAST(row AS text) LIKE :name)'),
                {"name": f"%{name}%"},
            )
        }


def files_naming(directory: Path, name: str) -> set[str]:
    """The files below a directory whose name or bytes contain a name."""
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if name in path.name or (path.is_file() and name.encode() in path.read_bytes())
    }
