"""Who asked for a run, and why."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE training_runs ADD COLUMN asked_by text, ADD COLUMN asked_why text")


def downgrade() -> None:
    op.execute("ALTER TABLE training_runs DROP COLUMN asked_by, DROP COLUMN asked_why")
