"""How many rows of a stratum one subject may hold, and the threshold of each subject that is at this bound."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE buffer_strata ADD COLUMN subject_capacity bigint;
UPDATE buffer_strata SET subject_capacity = capacity;
ALTER TABLE buffer_strata ALTER COLUMN subject_capacity SET NOT NULL;

ALTER TABLE buffer_keys ADD COLUMN subject text COLLATE "C";
UPDATE buffer_keys k SET subject = s.sample ->> 'subject' FROM buffer_samples s WHERE s.id = k.id;
ALTER TABLE buffer_keys ALTER COLUMN subject SET NOT NULL;
CREATE INDEX buffer_keys_by_subject ON buffer_keys (subject, stratum, key);

CREATE TABLE buffer_subjects (
    stratum text,
    subject text COLLATE "C",
    threshold double precision NOT NULL,
    PRIMARY KEY (stratum, subject)
) WITH (fillfactor = 50);
"""
DOWN = """
DROP TABLE buffer_subjects;
ALTER TABLE buffer_keys DROP COLUMN subject;
ALTER TABLE buffer_strata DROP COLUMN subject_capacity;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
