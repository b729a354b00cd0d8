"""The importance mass that each partition decided, and the log of the trainer's decisions."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE progress ADD COLUMN importance_mass double precision NOT NULL DEFAULT 0;

CREATE TABLE training_decisions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time double precision NOT NULL,
    trigger text,
    held_back text,
    state json NOT NULL,
    policy json NOT NULL
);
"""
DOWN = """
DROP TABLE training_decisions;
ALTER TABLE progress DROP COLUMN importance_mass;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
