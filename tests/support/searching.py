"""Search all that a service keeps for names: whole tables and files are read once, and searched as often as asked."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from storage.tables import metadata


@dataclass(frozen=True)
class Kept:
    """The content of tables and files by name: texts, and bytes as Postgres writes them, in hexadecimal."""

    content: dict[str, str]

    @classmethod
    def of_tables(cls, engine: sa.Engine) -> "Kept":
        """Every row of every table of the database, ours or not."""
        with engine.connect() as connection:
            names = sa.inspect(connection).get_table_names()
            assert set(metadata.tables) <= set(names)
            rows = {name: sa.text(f'SELECT CAST(t AS text) FROM "{name}" AS t') for name in names}
            return cls({name: "\n".join(connection.scalars(wanted)) for name, wanted in rows.items()})

    @classmethod
    def of_files(cls, directory: Path) -> "Kept":
        """The name and the bytes of every file below a directory."""
        files = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
        assert files
        return cls({name: name + path.read_bytes().decode("latin-1") for name, path in files.items()})

    def naming(self, name: str) -> set[str]:
        """Where a name is."""
        written = (name, name.encode().hex())
        return {where for where, text in self.content.items() if any(each in text for each in written)}


def tables_naming(engine: sa.Engine, name: str) -> set[str]:
    """The tables of the database with a row that contains a name."""
    return Kept.of_tables(engine).naming(name)
