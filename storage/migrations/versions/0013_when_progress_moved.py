"""When each partition's progress moved last, so that an idle partition is told from one that is behind."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UP = "ALTER TABLE progress ADD COLUMN moved timestamptz NOT NULL DEFAULT now()"
DOWN = "ALTER TABLE progress DROP COLUMN moved"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
