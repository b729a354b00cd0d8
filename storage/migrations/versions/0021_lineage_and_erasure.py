"""The lineage of versions, tombstones of erased subjects, and when each sample was stored."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# A lineage is compressed already. When older samples were stored is not known: NULL.
UP = """
CREATE TABLE model_lineage (
    version text PRIMARY KEY REFERENCES model_versions (version),
    summary json NOT NULL,
    lineage bytea NOT NULL
);
ALTER TABLE model_lineage ALTER COLUMN lineage SET STORAGE EXTERNAL;

CREATE TABLE erased_subjects (
    subject bigint PRIMARY KEY,
    salt bigint NOT NULL,
    erased timestamptz NOT NULL,
    until_ms bigint NOT NULL
);

ALTER TABLE buffer_samples ADD COLUMN stored_at timestamptz;
ALTER TABLE buffer_samples ALTER COLUMN stored_at SET DEFAULT now();
"""
DOWN = """
DROP TABLE model_lineage, erased_subjects;
ALTER TABLE buffer_samples DROP COLUMN stored_at;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
