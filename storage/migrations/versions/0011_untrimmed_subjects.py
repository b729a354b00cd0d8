"""The subjects of what was stored since the last trim: whoever trims next brings all of them down to their bound."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE buffer_untrimmed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stratum text NOT NULL,
    subject text COLLATE "C" NOT NULL
);
"""
DOWN = "DROP TABLE buffer_untrimmed"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
