"""Candidates in shadow, the mirror test after a promotion, and their results by partition and subject."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE model_versions DROP CONSTRAINT model_versions_state;
ALTER TABLE model_versions ADD CONSTRAINT model_versions_state
    CHECK (state IN ('candidate', 'shadow', 'active', 'retired', 'rejected', 'rolled_back'));

CREATE TABLE comparisons (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    test text NOT NULL CONSTRAINT comparisons_test CHECK (test IN ('shadow', 'mirror')),
    version text NOT NULL REFERENCES model_versions (version),
    against text NOT NULL REFERENCES model_versions (version),
    sequence bigint NOT NULL,
    started timestamptz NOT NULL DEFAULT now(),
    ended timestamptz,
    result text,
    reason text,
    wins bigint NOT NULL DEFAULT 0,
    losses bigint NOT NULL DEFAULT 0,
    ties bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX comparisons_running ON comparisons (test) WHERE ended IS NULL;

CREATE TABLE comparison_results (
    comparison bigint REFERENCES comparisons (id),
    topic_id uuid,
    partition integer,
    wins bigint NOT NULL,
    losses bigint NOT NULL,
    ties bigint NOT NULL,
    PRIMARY KEY (comparison, topic_id, partition)
);

CREATE TABLE comparison_subjects (
    comparison bigint REFERENCES comparisons (id),
    subject bigint,
    PRIMARY KEY (comparison, subject)
);
"""
DOWN = """
DROP TABLE comparison_subjects, comparison_results, comparisons;
UPDATE model_versions SET state = 'rejected' WHERE state = 'shadow';
ALTER TABLE model_versions DROP CONSTRAINT model_versions_state;
ALTER TABLE model_versions ADD CONSTRAINT model_versions_state
    CHECK (state IN ('candidate', 'active', 'retired', 'rejected', 'rolled_back'));
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
