"""The first tables: progress, buffer, quality counts, models, training runs."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PROGRESS = """
CREATE TABLE progress (
    topic_id uuid,
    partition integer,
    epoch bigint NOT NULL,
    generation bigint NOT NULL,
    backend_pid integer NOT NULL,
    next bigint,
    event_time_ms bigint,
    acknowledged bigint,
    acknowledged_event_time_ms bigint,
    samples bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic_id, partition)
) WITH (fillfactor = 50);  -- a row is updated many times a second: the new version finds room on its own page

CREATE TABLE quality_counts (
    topic_id uuid,
    partition integer,
    span text,
    predictor text,
    version text,
    slice text,
    counts bytea NOT NULL,
    PRIMARY KEY (topic_id, partition, span, predictor, version, slice)
) WITH (
    fillfactor = 50,
    -- every update leaves the old array behind: clean up after a thousand, not after a fifth of the table
    autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000
);
ALTER TABLE quality_counts ALTER COLUMN counts SET STORAGE EXTERNAL;  -- it comes packed
"""

BUFFER = """
CREATE TABLE buffer_strata (
    stratum text PRIMARY KEY,
    capacity bigint NOT NULL,
    threshold double precision NOT NULL DEFAULT '-Infinity',
    epoch bigint NOT NULL DEFAULT 0,
    deleted bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE buffer_intake (
    topic_id uuid,
    partition integer,
    stratum text,
    inserted bigint NOT NULL,
    PRIMARY KEY (topic_id, partition, stratum)
) WITH (fillfactor = 50);

CREATE TABLE buffer_keys (
    id text COLLATE "C" PRIMARY KEY,
    stored bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    stratum text NOT NULL,
    key double precision NOT NULL,
    log_weight double precision NOT NULL,
    m double precision NOT NULL DEFAULT 0
) WITH (
    -- Rows come and go and are never updated, so pages may be full. What is deleted lies at the low end of the index,
    -- where the next trim begins to read: clean up early, and without pauses (the table is small).
    fillfactor = 100,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0.1
);
CREATE INDEX buffer_keys_by_key ON buffer_keys (stratum, key);

CREATE TABLE buffer_samples (
    id text COLLATE "C" PRIMARY KEY,
    actions smallint NOT NULL,
    label smallint NOT NULL,
    rating_time_ms bigint,
    rating_id text COLLATE "C",
    rating_value double precision,
    importance double precision NOT NULL,
    estimator text NOT NULL,
    model text NOT NULL,
    prediction double precision,
    sample json NOT NULL  -- json, not jsonb: stored as it came, and never searched
) WITH (
    -- Late labels update in place (no index holds a changed column) when the page has room.
    fillfactor = 90,
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000
);
"""

MODELS = """
CREATE SEQUENCE model_version_number;

CREATE TABLE model_versions (
    version text PRIMARY KEY,
    parent text REFERENCES model_versions,
    state text NOT NULL
        CONSTRAINT model_versions_state
        CHECK (state IN ('candidate', 'active', 'retired', 'rejected', 'rolled_back')),
    created timestamptz NOT NULL,
    artifact text NOT NULL,
    sha256 text NOT NULL,
    metrics json NOT NULL,
    statistics json NOT NULL
);

CREATE TABLE promotion_log (
    sequence bigint PRIMARY KEY,
    kind text NOT NULL
        CONSTRAINT promotion_log_kind CHECK (kind IN ('promote', 'rollback', 'freeze', 'unfreeze')),
    from_version text REFERENCES model_versions,
    to_version text REFERENCES model_versions,
    actor text NOT NULL,
    reason text NOT NULL,
    time timestamptz NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
END
$$;
CREATE TRIGGER promotion_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON promotion_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE model_pointer (
    singleton boolean PRIMARY KEY CONSTRAINT model_pointer_singleton CHECK (singleton),
    sequence bigint NOT NULL,
    version text REFERENCES model_versions,
    frozen boolean NOT NULL
);
INSERT INTO model_pointer VALUES (true, 0, NULL, false);

CREATE TABLE training_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger text NOT NULL,
    inputs json NOT NULL,
    started timestamptz NOT NULL,
    ended timestamptz,
    result text,
    reasons json NOT NULL DEFAULT '[]',
    candidate text REFERENCES model_versions
);
"""


def upgrade() -> None:
    for statements in (PROGRESS, BUFFER, MODELS):
        op.execute(statements)


def downgrade() -> None:
    op.execute("""
        DROP TABLE training_runs, model_pointer, promotion_log, model_versions,
            buffer_samples, buffer_keys, buffer_intake, buffer_strata, quality_counts, progress;
        DROP FUNCTION refuse_change;
        DROP SEQUENCE model_version_number;
    """)
