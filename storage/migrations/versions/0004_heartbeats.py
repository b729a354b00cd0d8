"""What each process of the service last reported of itself."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE heartbeats (
            id uuid PRIMARY KEY,
            role text NOT NULL,
            host text NOT NULL,
            pid integer NOT NULL,
            started timestamptz NOT NULL,
            seen timestamptz NOT NULL,
            stopped boolean NOT NULL,
            report json NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE heartbeats")
