"""The items that each subject had to do with last, for the context of rankings."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE recent_items (
    subject text COLLATE "C" NOT NULL,
    item text COLLATE "C" NOT NULL,
    text text NOT NULL,
    time_ms bigint NOT NULL,
    PRIMARY KEY (subject, item)
);
CREATE INDEX recent_items_by_time ON recent_items (time_ms);
"""
DOWN = "DROP TABLE recent_items"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
