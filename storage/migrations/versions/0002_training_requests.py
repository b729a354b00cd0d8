"""Add the table of an operator's training request."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE training_requests (
            singleton boolean PRIMARY KEY CONSTRAINT training_requests_singleton CHECK (singleton),
            actor text NOT NULL,
            time timestamptz NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE training_requests")
