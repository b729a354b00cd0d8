"""The sums of a race of selection policies, by partition."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE race_sums (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    race text NOT NULL,
    results bigint NOT NULL,
    sums double precision[] NOT NULL,
    PRIMARY KEY (topic_id, partition, race)
)
"""
DOWN = "DROP TABLE race_sums"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
