"""Why a training was asked for."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE training_requests ADD COLUMN reason text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE training_requests DROP COLUMN reason")
