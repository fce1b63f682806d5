"""The ledger, its first read models, and the locks on both.

Three locks keep history as it is: the application's role has no right to change or delete an
event, row-level security shows a role one organisation at a time, and on plain Postgres a trigger
refuses changes to whoever is left.
"""

from alembic import op

from migrations.support import keep_to_organization, lock_read_model, run

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE ledgers (
    org_id UUID NOT NULL,
    head BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id)
);
CREATE TABLE events (
    org_id UUID NOT NULL,
    position BIGINT NOT NULL,
    category VARCHAR NOT NULL,
    stream_id UUID NOT NULL,
    version INTEGER NOT NULL,
    event_id UUID NOT NULL,
    type VARCHAR NOT NULL,
    schema_version INTEGER NOT NULL,
    cycle_id UUID,
    data JSON NOT NULL,
    actor VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    correlation_id UUID NOT NULL,
    causation_id UUID,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    leaf_hash BYTEA NOT NULL,
    PRIMARY KEY (org_id, position),
    UNIQUE (org_id, category, stream_id, version),
    UNIQUE (org_id, event_id)
);
CREATE INDEX ix_events_cycle ON events (org_id, cycle_id, position);
CREATE INDEX ix_events_recorded_at ON events (org_id, recorded_at);
CREATE TABLE idempotency_keys (
    org_id UUID NOT NULL,
    credential VARCHAR NOT NULL,
    route VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    fingerprint BYTEA NOT NULL,
    status INTEGER NOT NULL,
    headers JSONB NOT NULL,
    body BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id, credential, route, key)
);
CREATE INDEX ix_idempotency_keys_age ON idempotency_keys (org_id, created_at);
CREATE TABLE directory (
    org_id UUID NOT NULL,
    person_id UUID NOT NULL,
    name VARCHAR NOT NULL,
    email VARCHAR,
    PRIMARY KEY (org_id, person_id)
);
CREATE TABLE credentials (
    digest BYTEA NOT NULL,
    org_id UUID NOT NULL,
    key_id UUID NOT NULL,
    PRIMARY KEY (digest)
);
CREATE INDEX ix_credentials_org_id ON credentials (org_id);
CREATE TABLE operators (
    digest BYTEA NOT NULL,
    operator_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (digest)
);
CREATE TABLE alignments (
    org_id UUID NOT NULL,
    alignment_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    cycle_id UUID NOT NULL,
    objective_id UUID NOT NULL,
    target_kind VARCHAR NOT NULL,
    target_id UUID NOT NULL,
    target_objective_id UUID NOT NULL,
    rationale VARCHAR NOT NULL,
    why_now VARCHAR,
    agreed_by JSONB NOT NULL,
    agreed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    withdrawn BOOLEAN NOT NULL,
    withdrawn_reason VARCHAR,
    PRIMARY KEY (org_id, alignment_id)
);
CREATE INDEX ix_alignments_cycle ON alignments (org_id, cycle_id, position);
CREATE INDEX ix_alignments_objective ON alignments (org_id, objective_id);
CREATE TABLE api_keys (
    org_id UUID NOT NULL,
    key_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    scopes JSONB NOT NULL,
    person_id UUID,
    issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (org_id, key_id)
);
CREATE TABLE check_ins (
    org_id UUID NOT NULL,
    check_in_id UUID NOT NULL,
    position BIGINT NOT NULL,
    key_result_id UUID NOT NULL,
    objective_id UUID NOT NULL,
    cycle_id UUID NOT NULL,
    value NUMERIC,
    is_milestone BOOLEAN NOT NULL,
    progress NUMERIC,
    confidence NUMERIC,
    health VARCHAR,
    note VARCHAR,
    next_steps VARCHAR,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    PRIMARY KEY (org_id, check_in_id)
);
CREATE INDEX ix_check_ins_key_result ON check_ins (org_id, key_result_id, position);
CREATE TABLE cycles (
    org_id UUID NOT NULL,
    cycle_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    starts_on DATE NOT NULL,
    ends_on DATE NOT NULL,
    phase VARCHAR NOT NULL,
    parent_id UUID,
    previous_id UUID,
    next_id UUID,
    opened_at TIMESTAMP WITH TIME ZONE,
    scoring JSONB,
    PRIMARY KEY (org_id, cycle_id)
);
CREATE TABLE decisions (
    org_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    question VARCHAR NOT NULL,
    decision JSONB NOT NULL,
    rationale VARCHAR NOT NULL,
    decided_by UUID,
    actor VARCHAR NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id, position)
);
CREATE TABLE external_ids (
    org_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    external_id VARCHAR NOT NULL,
    id UUID NOT NULL,
    PRIMARY KEY (org_id, kind, source, external_id)
);
CREATE TABLE key_results (
    org_id UUID NOT NULL,
    key_result_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    cycle_id UUID NOT NULL,
    objective_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    measure JSONB NOT NULL,
    weight NUMERIC NOT NULL,
    owner_kind VARCHAR,
    owner_id UUID,
    removed BOOLEAN NOT NULL,
    drafted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    value NUMERIC,
    progress NUMERIC,
    confidence NUMERIC,
    health VARCHAR,
    last_check_in_at TIMESTAMP WITH TIME ZONE,
    computed_score NUMERIC,
    score NUMERIC,
    score_formula VARCHAR,
    score_comment VARCHAR,
    adjustment_reason VARCHAR,
    choice VARCHAR,
    learning VARCHAR,
    previous_id UUID,
    successor_id UUID,
    PRIMARY KEY (org_id, key_result_id)
);
CREATE INDEX ix_key_results_cycle ON key_results (org_id, cycle_id, position);
CREATE INDEX ix_key_results_objective ON key_results (org_id, objective_id);
CREATE TABLE members (
    org_id UUID NOT NULL,
    team_id UUID NOT NULL,
    person_id UUID NOT NULL,
    position BIGINT NOT NULL,
    role VARCHAR NOT NULL,
    PRIMARY KEY (org_id, team_id, person_id)
);
CREATE TABLE objectives (
    org_id UUID NOT NULL,
    objective_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    cycle_id UUID NOT NULL,
    owner_kind VARCHAR NOT NULL,
    owner_id UUID NOT NULL,
    title VARCHAR NOT NULL,
    why VARCHAR,
    why_now VARCHAR,
    origin VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    outcome VARCHAR,
    outcome_reason VARCHAR,
    result_text VARCHAR,
    previous_id UUID,
    drafted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    drafted_by VARCHAR NOT NULL,
    committed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (org_id, objective_id)
);
CREATE INDEX ix_objectives_cycle ON objectives (org_id, cycle_id, position);
CREATE TABLE organizations (
    org_id UUID NOT NULL,
    organization_id UUID NOT NULL,
    name VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    founded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id, organization_id)
);
CREATE TABLE people (
    org_id UUID NOT NULL,
    person_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    active BOOLEAN NOT NULL,
    registered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id, person_id)
);
CREATE TABLE reflections (
    org_id UUID NOT NULL,
    reflection_id UUID NOT NULL,
    position BIGINT NOT NULL,
    cycle_id UUID NOT NULL,
    team_id UUID,
    worked JSONB NOT NULL,
    did_not_work JSONB NOT NULL,
    change JSONB NOT NULL,
    actor VARCHAR NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id, reflection_id)
);
CREATE INDEX ix_reflections_cycle ON reflections (org_id, cycle_id, position);
CREATE TABLE teams (
    org_id UUID NOT NULL,
    team_id UUID NOT NULL,
    position BIGINT NOT NULL,
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    level VARCHAR NOT NULL,
    parent_id UUID,
    active BOOLEAN NOT NULL,
    PRIMARY KEY (org_id, team_id)
);
CREATE INDEX ix_teams_parent ON teams (org_id, parent_id);
CREATE TABLE warnings (
    org_id UUID NOT NULL,
    position BIGINT NOT NULL,
    rule VARCHAR NOT NULL,
    cycle_id UUID,
    subject_kind VARCHAR NOT NULL,
    subject_id UUID NOT NULL,
    decision VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (org_id, position, rule)
);
CREATE INDEX ix_warnings_cycle ON warnings (org_id, cycle_id, position);
"""

READ_MODELS = [
    "alignments",
    "api_keys",
    "check_ins",
    "cycles",
    "decisions",
    "external_ids",
    "key_results",
    "members",
    "objectives",
    "organizations",
    "people",
    "reflections",
    "teams",
    "warnings",
]

# The application's role logs in nowhere by itself: a login that is granted it takes it on.
ROLE = """
DO $$ BEGIN
    CREATE ROLE okr_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN
    EXECUTE format('GRANT okr_app TO %I', current_user);
EXCEPTION WHEN invalid_grant_operation OR insufficient_privilege THEN NULL;
END $$;
GRANT USAGE ON SCHEMA public TO okr_app;
GRANT SELECT ON alembic_version TO okr_app;
GRANT SELECT, INSERT, UPDATE ON ledgers TO okr_app;
GRANT SELECT, INSERT ON events TO okr_app;
GRANT SELECT, INSERT, DELETE ON idempotency_keys TO okr_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON directory TO okr_app;
GRANT SELECT, INSERT ON credentials TO okr_app;
GRANT SELECT ON operators TO okr_app;
"""

KEY_DIGEST = "decode(nullif(current_setting('app.key_digest', true), ''), 'hex')"

# Whoever holds a key finds its row, before it is known whose key it is. The tables' owner keeps
# the operators, and knows which ledgers there are.
KEY_POLICIES = f"""
CREATE POLICY holder ON credentials FOR SELECT USING (digest = {KEY_DIGEST});
ALTER TABLE operators ENABLE ROW LEVEL SECURITY;
ALTER TABLE operators FORCE ROW LEVEL SECURITY;
CREATE POLICY holder ON operators FOR SELECT USING (digest = {KEY_DIGEST});
CREATE POLICY keeper ON operators TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY keeper ON ledgers FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY operator ON organizations FOR SELECT USING (EXISTS (SELECT FROM operators));
"""

IMMUTABLE = """
CREATE FUNCTION refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed or deleted' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER no_change BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_history();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
"""


def upgrade() -> None:
    run(TABLES)
    run(ROLE)
    kept = ["ledgers", "events", "idempotency_keys", "directory", "credentials"]
    for table in kept:
        keep_to_organization(table)
    for table in READ_MODELS:
        lock_read_model(table)
    run(KEY_POLICIES)
    # Citus refuses triggers on distributed tables; there the grants stand alone.
    citus = op.get_bind().exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'citus'")
    if citus.first() is None:
        run(IMMUTABLE)
