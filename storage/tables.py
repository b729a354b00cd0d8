"""The tables, as SQLAlchemy sees them. Migrations make them; a test holds the two together."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

metadata = sa.MetaData()

# Ids are compared byte by byte: the same order on every server, and a third of the cost of a language's collation.
Id = sa.Text(collation="C")

progress = sa.Table(
    "progress",
    metadata,
    sa.Column("topic_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("backend_pid", sa.Integer, nullable=False),
    sa.Column("next", sa.BigInteger),  # NULL until the first flush of a new partition
    sa.Column("event_time_ms", sa.BigInteger),
    sa.Column("acknowledged", sa.BigInteger),
    sa.Column("acknowledged_event_time_ms", sa.BigInteger),
    sa.Column("samples", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("importance_mass", pg.DOUBLE_PRECISION, nullable=False, server_default="0"),
    sa.Column("read", sa.BigInteger, nullable=False, server_default="0"),  # what lies below is counted already
    # (offset, highest event time allowed from there on), flat
    sa.Column("ceilings", pg.ARRAY(sa.BigInteger), nullable=False, server_default="{}"),
    sa.Column("moved", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)

strata = sa.Table(
    "buffer_strata",
    metadata,
    sa.Column("stratum", sa.Text, primary_key=True),
    sa.Column("capacity", sa.BigInteger, nullable=False),
    sa.Column("threshold", pg.DOUBLE_PRECISION, nullable=False, server_default="-Infinity"),
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("deleted", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("rule", sa.Text, nullable=False, server_default=""),  # what its keys are made with; empty: not known
    sa.Column("subject_capacity", sa.BigInteger, nullable=False),  # rows that one subject may hold
)

# The thresholds of subjects that are at their bound, above those of their strata: a few dozen at most.
subjects = sa.Table(
    "buffer_subjects",
    metadata,
    sa.Column("stratum", sa.Text, primary_key=True),
    sa.Column("subject", Id, primary_key=True),
    sa.Column("threshold", pg.DOUBLE_PRECISION, nullable=False),
)

# The subjects of rows that were stored since the last trim, each as often as a flush had it.
untrimmed = sa.Table(
    "buffer_untrimmed",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("stratum", sa.Text, nullable=False),
    sa.Column("subject", Id, nullable=False),
)

# Inserts are counted by partition, each row written by its owner alone: one row a stratum would be fought over.
intake = sa.Table(
    "buffer_intake",
    metadata,
    sa.Column("topic_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("stratum", sa.Text, primary_key=True),
    sa.Column("inserted", sa.BigInteger, nullable=False),
)

# What is churned and searched is narrow; what is wide lies apart and is touched by id only.
keys = sa.Table(
    "buffer_keys",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("stored", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("stratum", sa.Text, nullable=False),
    sa.Column("key", pg.DOUBLE_PRECISION, nullable=False),
    sa.Column("log_weight", pg.DOUBLE_PRECISION, nullable=False),
    sa.Column("m", pg.DOUBLE_PRECISION, nullable=False, server_default="0"),
    sa.Column("subject", Id, nullable=False),
    sa.Index("buffer_keys_by_key", "stratum", "key"),
    sa.Index("buffer_keys_by_subject", "subject", "stratum", "key"),
)

# `sample` is the sample as it was decided and never changes; actions, rating and label gain what comes late.
samples = sa.Table(
    "buffer_samples",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("actions", sa.SmallInteger, nullable=False),
    sa.Column("label", sa.SmallInteger, nullable=False),
    sa.Column("rating_time_ms", sa.BigInteger),
    sa.Column("rating_id", Id),
    sa.Column("rating_value", pg.DOUBLE_PRECISION),
    sa.Column("importance", pg.DOUBLE_PRECISION, nullable=False),
    sa.Column("estimator", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("prediction", pg.DOUBLE_PRECISION),
    sa.Column("sample", pg.JSON, nullable=False),
    sa.Column("subject", Id, nullable=False),
    sa.Column("stored_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    sa.Index("buffer_samples_by_subject", "subject"),
)

# Every positive sample's item, whether the buffer holds the sample or not: bounded by subject and in all.
recent_items = sa.Table(
    "recent_items",
    metadata,
    sa.Column("subject", Id, primary_key=True),
    sa.Column("item", Id, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Index("recent_items_by_time", "time_ms"),
)

# Tombstones. A sample whose subject's pseudonym is here and whose event time is not after `until_ms` is not stored.
erased_subjects = sa.Table(
    "erased_subjects",
    metadata,
    sa.Column("subject", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("salt", sa.BigInteger, nullable=False),  # fingerprint of the one that the pseudonym was made with
    sa.Column("erased", sa.DateTime(timezone=True), nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)

quality = sa.Table(
    "quality_counts",
    metadata,
    sa.Column("topic_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("span", sa.Text, primary_key=True),
    sa.Column("predictor", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("slice", sa.Text, primary_key=True),
    sa.Column("counts", sa.LargeBinary, nullable=False),
)

versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("parent", sa.Text, sa.ForeignKey("model_versions.version")),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    sa.Column("artifact", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("metrics", pg.JSON, nullable=False),
    sa.Column("statistics", pg.JSON, nullable=False),
    sa.CheckConstraint(
        "state IN ('candidate', 'shadow', 'active', 'retired', 'rejected', 'rolled_back')", name="model_versions_state"
    ),
)

# Which samples trained a version, encoded: see `importance.lineage`. Versions that were not trained here have none.
model_lineage = sa.Table(
    "model_lineage",
    metadata,
    sa.Column("version", sa.Text, sa.ForeignKey("model_versions.version"), primary_key=True),
    sa.Column("summary", pg.JSON, nullable=False),
    sa.Column("lineage", sa.LargeBinary, nullable=False),
)

version_number = sa.Sequence("model_version_number", metadata=metadata)

# Append-only: a trigger refuses everything but INSERT.
promotions = sa.Table(
    "promotion_log",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("from_version", sa.Text, sa.ForeignKey("model_versions.version")),
    sa.Column("to_version", sa.Text, sa.ForeignKey("model_versions.version")),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("time", sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind IN ('promote', 'rollback', 'freeze', 'unfreeze')", name="promotion_log_kind"),
)

# One row: the lock that orders all writers of the log, and the cheap answer to "which version is active".
pointer = sa.Table(
    "model_pointer",
    metadata,
    sa.Column(
        "singleton", sa.Boolean, sa.CheckConstraint("singleton", name="model_pointer_singleton"), primary_key=True
    ),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Text, sa.ForeignKey("model_versions.version")),
    sa.Column("frozen", sa.Boolean, nullable=False),
)

# At most one of each test runs. Its results lie in the next two tables until it ends.
comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("test", sa.Text, nullable=False),
    sa.Column("version", sa.Text, sa.ForeignKey("model_versions.version"), nullable=False),
    sa.Column("against", sa.Text, sa.ForeignKey("model_versions.version"), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("started", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("ended", sa.DateTime(timezone=True)),
    sa.Column("result", sa.Text),
    sa.Column("reason", sa.Text),
    *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in ("wins", "losses", "ties")),
    sa.CheckConstraint("test IN ('shadow', 'mirror')", name="comparisons_test"),
    sa.Index("comparisons_running", "test", unique=True, postgresql_where=sa.text("ended IS NULL")),
)

# Each row is written by the owner of its partition alone.
comparison_results = sa.Table(
    "comparison_results",
    metadata,
    sa.Column("comparison", sa.BigInteger, sa.ForeignKey("comparisons.id"), primary_key=True),
    sa.Column("topic_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("wins", "losses", "ties")),
)

# Subjects that have counted, by a keyed hash.
comparison_subjects = sa.Table(
    "comparison_subjects",
    metadata,
    sa.Column("comparison", sa.BigInteger, sa.ForeignKey("comparisons.id"), primary_key=True),
    sa.Column("subject", sa.BigInteger, primary_key=True, autoincrement=False),
)

training_runs = sa.Table(
    "training_runs",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("inputs", pg.JSON, nullable=False),
    sa.Column("started", sa.DateTime(timezone=True), nullable=False),
    sa.Column("ended", sa.DateTime(timezone=True)),
    sa.Column("result", sa.Text),
    sa.Column("reasons", pg.JSON, nullable=False, server_default="[]"),
    sa.Column("candidate", sa.Text, sa.ForeignKey("model_versions.version")),
    sa.Column("asked_by", sa.Text),  # NULL where no operator did
    sa.Column("asked_why", sa.Text),
    sa.Column("resumed", sa.BigInteger, nullable=False, server_default="0"),  # also fences the trainers before
    sa.Column("checkpoint", pg.JSON),  # NULL before the first, and once it has ended
)

# The versions that a rollback left behind: until `lifted`, they and what descends from them are not promoted.
quarantine = sa.Table(
    "model_quarantine",
    metadata,
    sa.Column("version", sa.Text, sa.ForeignKey("model_versions.version"), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),  # of the promotion log
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    sa.Column("rescored", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("lifted", sa.DateTime(timezone=True)),
    sa.Index("model_quarantine_standing", "version", unique=True, postgresql_where=sa.text("lifted IS NULL")),
)

# What the trainer decided at a poll, and by what: bounded, see `storage.training_decisions`.
training_decisions = sa.Table(
    "training_decisions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("time", pg.DOUBLE_PRECISION, nullable=False),  # of the trainer's clock, which its runs are dated by
    sa.Column("trigger", sa.Text),  # NULL where none fired
    sa.Column("held_back", sa.Text),  # NULL where nothing did
    sa.Column("state", pg.JSON, nullable=False),
    sa.Column("policy", pg.JSON, nullable=False),
)

# A row a run that made both arms; ``difference`` is selected minus uniform.
control_arm = sa.Table(
    "control_arm",
    metadata,
    sa.Column("run", sa.BigInteger, sa.ForeignKey("training_runs.id"), primary_key=True, autoincrement=False),
    sa.Column("time", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("difference", pg.DOUBLE_PRECISION, nullable=False),
    sa.Column("standard_error", pg.DOUBLE_PRECISION, nullable=False),
    sa.Column("uniform_only", sa.Boolean, nullable=False),  # the candidate was trained on uniform samples
)

# At most one row: an operator's request for a training that no run has fulfilled yet.
training_requests = sa.Table(
    "training_requests",
    metadata,
    sa.Column(
        "singleton", sa.Boolean, sa.CheckConstraint("singleton", name="training_requests_singleton"), primary_key=True
    ),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("time", sa.DateTime(timezone=True), nullable=False),
)

# Append-only, as the promotion log is.
audit = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("time", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", pg.JSON, nullable=False),
)

# A name is unique among the tokens that are not revoked. No column holds a token itself.
tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("expires", sa.DateTime(timezone=True)),
    sa.Column("last_used", sa.DateTime(timezone=True)),
    sa.Column("revoked", sa.DateTime(timezone=True)),
    sa.CheckConstraint("role IN ('viewer', 'scorer', 'operator')", name="api_tokens_role"),
    sa.Index("api_tokens_by_name", "name", unique=True, postgresql_where=sa.text("revoked IS NULL")),
)

# A row a process, written by it alone. Times are the database's, so that clocks of hosts do not matter.
heartbeats = sa.Table(
    "heartbeats",
    metadata,
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.DateTime(timezone=True), nullable=False),
    sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
    sa.Column("stopped", sa.Boolean, nullable=False),
    sa.Column("report", pg.JSON, nullable=False),
)

# What is summed of each partition by block of event time, packed: each row is written by its owner alone.
drift_blocks = sa.Table(
    "drift_blocks",
    metadata,
    sa.Column("topic_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("block_ms", sa.BigInteger, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),  # empty for what no model version has a part in
    sa.Column("sums", sa.LargeBinary, nullable=False),
    sa.Column("layout", sa.Text, nullable=False, server_default=""),
    sa.Index("drift_blocks_by_time", "block_ms"),
)

# The sums of a race of selection policies, which its policies name; each row is written by its owner alone.
race_sums = sa.Table(
    "race_sums",
    metadata,
    sa.Column("topic_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("race", sa.Text, primary_key=True),
    sa.Column("results", sa.BigInteger, nullable=False),
    sa.Column("sums", pg.ARRAY(pg.DOUBLE_PRECISION), nullable=False),
)

# One row: the lock that orders evaluations. All blocks before `evaluated_ms` are evaluated, or came too late for it.
drift_cursor = sa.Table(
    "drift_cursor",
    metadata,
    sa.Column(
        "singleton", sa.Boolean, sa.CheckConstraint("singleton", name="drift_cursor_singleton"), primary_key=True
    ),
    sa.Column("evaluated_ms", sa.BigInteger),
)

drift_states = sa.Table(
    "drift_states",
    metadata,
    sa.Column("test", sa.Text, primary_key=True),
    sa.Column("feature", sa.Text, primary_key=True),
    sa.Column("segment", sa.Text, primary_key=True),
    sa.Column("detector", sa.Text, nullable=False),  # its configuration: another one starts again
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
    sa.Column("statistic", pg.DOUBLE_PRECISION),  # NULL until the first check
    sa.Column("threshold", pg.DOUBLE_PRECISION),
    sa.Column("p_value", pg.DOUBLE_PRECISION),
    sa.Column("checked_ms", sa.BigInteger),
    sa.Column("alarms", sa.BigInteger, nullable=False),
)

# Append-only, like the promotion log.
drift_alarms = sa.Table(
    "drift_alarms",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("block_ms", sa.BigInteger, nullable=False),
    sa.Column("test", sa.Text, nullable=False),
    sa.Column("feature", sa.Text, nullable=False),
    sa.Column("segment", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("statistic", pg.DOUBLE_PRECISION, nullable=False),
    sa.Column("threshold", pg.DOUBLE_PRECISION, nullable=False),
    sa.Column("p_value", pg.DOUBLE_PRECISION),
)
