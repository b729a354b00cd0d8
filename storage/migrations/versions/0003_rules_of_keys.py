"""What the keys of a stratum are made with, in words; empty where that is not known."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE buffer_strata ADD COLUMN rule text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE buffer_strata DROP COLUMN rule")
