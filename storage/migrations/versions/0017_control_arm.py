"""The comparisons of training on selected samples with training on uniform ones."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE control_arm (
    run bigint PRIMARY KEY REFERENCES training_runs (id),
    time timestamptz NOT NULL DEFAULT now(),
    difference double precision NOT NULL,
    standard_error double precision NOT NULL,
    uniform_only boolean NOT NULL
)
"""
DOWN = "DROP TABLE control_arm"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
