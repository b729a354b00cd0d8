"""The audit log of every change, and the tokens of the HTTP interface."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    via text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    details json NOT NULL
);
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL CONSTRAINT api_tokens_role CHECK (role IN ('viewer', 'scorer', 'operator')),
    hash bytea NOT NULL UNIQUE,
    created timestamptz NOT NULL,
    created_by text NOT NULL,
    expires timestamptz,
    last_used timestamptz,
    revoked timestamptz
);
CREATE UNIQUE INDEX api_tokens_by_name ON api_tokens (name) WHERE revoked IS NULL;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE api_tokens, audit_log")
