"""What is summed of the stream for drift, by block of event time; the detectors' states; and their alarms."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE drift_blocks (
    topic_id uuid,
    partition integer,
    block_ms bigint,
    version text,
    sums bytea NOT NULL,
    PRIMARY KEY (topic_id, partition, block_ms, version)
);
CREATE INDEX drift_blocks_by_time ON drift_blocks (block_ms);

CREATE TABLE drift_cursor (
    singleton boolean PRIMARY KEY CONSTRAINT drift_cursor_singleton CHECK (singleton),
    evaluated_ms bigint
);
INSERT INTO drift_cursor VALUES (true, NULL);

CREATE TABLE drift_states (
    test text,
    feature text,
    segment text,
    detector text NOT NULL,
    version text NOT NULL,
    state bytea NOT NULL,
    statistic double precision,
    threshold double precision,
    p_value double precision,
    checked_ms bigint,
    alarms bigint NOT NULL,
    PRIMARY KEY (test, feature, segment)
);

CREATE TABLE drift_alarms (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time timestamptz NOT NULL,
    block_ms bigint NOT NULL,
    test text NOT NULL,
    feature text NOT NULL,
    segment text NOT NULL,
    version text NOT NULL,
    statistic double precision NOT NULL,
    threshold double precision NOT NULL,
    p_value double precision
);
CREATE TRIGGER drift_alarms_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON drift_alarms
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
DOWN = "DROP TABLE drift_alarms, drift_states, drift_cursor, drift_blocks"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
