"""Versions that a rollback passed: their scores are computed again, and nothing that descends from them is promoted."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE model_quarantine (
    version text REFERENCES model_versions (version),
    sequence bigint,
    since timestamptz NOT NULL,
    rescored bigint NOT NULL DEFAULT 0,
    lifted timestamptz,
    PRIMARY KEY (version, sequence)
);
CREATE UNIQUE INDEX model_quarantine_standing ON model_quarantine (version) WHERE lifted IS NULL;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE model_quarantine")
