"""How the features of each row of sums were made, so that those of another release are never added or tested."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Rows of before have the layout of no release: up to a few hours of blocks are skipped once.
UP = "ALTER TABLE drift_blocks ADD COLUMN layout text NOT NULL DEFAULT ''"
DOWN = "ALTER TABLE drift_blocks DROP COLUMN layout"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
