"""The subject of each stored sample, with an index: the rows of one subject are found without reading the table."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE buffer_samples ADD COLUMN subject text COLLATE "C";
UPDATE buffer_samples SET subject = sample ->> 'subject';
ALTER TABLE buffer_samples ALTER COLUMN subject SET NOT NULL;
CREATE INDEX buffer_samples_by_subject ON buffer_samples (subject);
"""
DOWN = "ALTER TABLE buffer_samples DROP COLUMN subject"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
