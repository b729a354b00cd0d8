"""How far a partition was read, and by which clock."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE progress ADD COLUMN read bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE progress ADD COLUMN ceilings bigint[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE progress DROP COLUMN ceilings, DROP COLUMN read")
