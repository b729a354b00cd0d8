"""How often a training run was resumed, and what it can be resumed from."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

UP = "ALTER TABLE training_runs ADD COLUMN resumed bigint NOT NULL DEFAULT 0, ADD COLUMN checkpoint json"
DOWN = "ALTER TABLE training_runs DROP COLUMN resumed, DROP COLUMN checkpoint"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
