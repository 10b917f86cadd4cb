import type { Migration } from "./migration.ts";

/** Their rows belong to a tenant each. */
const tables = [
  "tenants",
  "projects",
  "api_keys",
  "limit_rules",
  "prices",
  "ledger",
  "request_log",
  "request_contents",
  "sessions",
  "caller_agents",
  "audit",
  "audit_heads",
  "idempotency",
  "responses",
];

export const firstSchema: Migration = {
  version: 1,
  name: "first schema",
  statements: [
    "CREATE TABLE versions (kind {text} PRIMARY KEY, value BIGINT NOT NULL)",

    `CREATE TABLE tenants (
      tenant {text} PRIMARY KEY, name {text} NOT NULL, time_zone {text} NOT NULL, enabled SMALLINT NOT NULL, settings {text} NOT NULL,
      created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision BIGINT NOT NULL)`,

    `CREATE TABLE projects (
      tenant {text} NOT NULL, id {text} NOT NULL, name {text} NOT NULL, enabled SMALLINT NOT NULL, settings {text} NOT NULL,
      created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision BIGINT NOT NULL, PRIMARY KEY (tenant, id))`,

    `CREATE TABLE api_keys (
      id {text} PRIMARY KEY, tenant {text} NOT NULL, project {text} NOT NULL, owner {text} NOT NULL, name {text} NOT NULL,
      hash {text} NOT NULL, hash_kind {text} NOT NULL, pepper_id {text} NOT NULL, prefix {text} NOT NULL, roles {text} NOT NULL,
      scopes {text} NOT NULL, models {text} NOT NULL, endpoints {text} NOT NULL, ip_allow {text} NOT NULL, app {text} NOT NULL,
      cache_salt {text} NOT NULL, enabled SMALLINT NOT NULL, expires_at BIGINT, revoked_at BIGINT, last_used_at BIGINT,
      rotated_from {text} NOT NULL, version BIGINT NOT NULL,
      created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision BIGINT NOT NULL)`,
    "CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at, id)",
    "CREATE UNIQUE INDEX api_keys_by_sha256 ON api_keys (hash) WHERE hash_kind = 'sha256'",
    "CREATE INDEX api_keys_by_version ON api_keys (version)",

    `CREATE TABLE limit_rules (
      tenant {text} NOT NULL, id {text} NOT NULL, subject_kind {text} NOT NULL, subject_id {text} NOT NULL, settings {text} NOT NULL,
      enabled SMALLINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision BIGINT NOT NULL, PRIMARY KEY (tenant, id))`,

    `CREATE TABLE prices (
      tenant {text} NOT NULL, id {text} NOT NULL, provider {text} NOT NULL, model_pattern {text} NOT NULL, tiers {text} NOT NULL,
      effective_from BIGINT NOT NULL, effective_until BIGINT, source {text} NOT NULL,
      created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision BIGINT NOT NULL, PRIMARY KEY (tenant, id))`,

    // stage: 0 reserved, 1 dispatched, 2 over. writes: how often the row was written.
    `CREATE TABLE ledger (
      tenant {text} NOT NULL, usage_id {text} NOT NULL, request_id {text} NOT NULL, attempt INTEGER NOT NULL, project {text} NOT NULL,
      principal {text} NOT NULL, end_user {text} NOT NULL, surface {text} NOT NULL, operation {text} NOT NULL,
      requested_model {text} NOT NULL, route {text} NOT NULL, provider {text} NOT NULL, target {text} NOT NULL,
      upstream_model {text} NOT NULL, reserved_nano BIGINT NOT NULL CHECK (reserved_nano >= 0), estimated_input_tokens BIGINT NOT NULL,
      pricing_version {text} NOT NULL, started_at BIGINT NOT NULL, epoch {text} NOT NULL,
      state {text} NOT NULL, stage SMALLINT NOT NULL, outcome {text} NOT NULL, status {text} NOT NULL, http_status INTEGER NOT NULL,
      usage {text}, basis {text} NOT NULL,
      input_tokens BIGINT CHECK (input_tokens >= 0), output_tokens BIGINT CHECK (output_tokens >= 0),
      cache_read_tokens BIGINT CHECK (cache_read_tokens >= 0), cache_write_tokens BIGINT CHECK (cache_write_tokens >= 0),
      reasoning_tokens BIGINT CHECK (reasoning_tokens >= 0),
      cost_nano BIGINT CHECK (cost_nano >= 0), charge_nano BIGINT CHECK (charge_nano >= 0),
      ended_at BIGINT NOT NULL, duration_ms DOUBLE PRECISION NOT NULL, first_content_ms DOUBLE PRECISION,
      upstream_request_id {text} NOT NULL, writes INTEGER NOT NULL, PRIMARY KEY (tenant, usage_id))`,
    "CREATE INDEX ledger_by_time ON ledger (tenant, started_at, usage_id)",
    "CREATE INDEX ledger_by_request ON ledger (tenant, request_id)",
    "CREATE INDEX ledger_open ON ledger (started_at, usage_id) WHERE stage < 2",

    // record: JSON of all fields; the columns are what is searched and added up.
    `CREATE TABLE request_log (
      tenant {text} NOT NULL, request_id {text} NOT NULL, created_at BIGINT NOT NULL, project {text} NOT NULL, user_id {text} NOT NULL,
      end_user {text} NOT NULL, key_id {text} NOT NULL, policy_key {text} NOT NULL, caller_agent {text} NOT NULL,
      session_id {text} NOT NULL, environment {text} NOT NULL, surface {text} NOT NULL, request_kind {text} NOT NULL,
      provider {text} NOT NULL, requested_model {text} NOT NULL, upstream_model {text} NOT NULL, external_request_id {text} NOT NULL,
      error_code {text} NOT NULL, status {text} NOT NULL, latency_ms DOUBLE PRECISION NOT NULL, prompt_tokens BIGINT,
      completion_tokens BIGINT, cost_nano BIGINT, bytes BIGINT NOT NULL, record {text} NOT NULL, PRIMARY KEY (tenant, request_id))`,
    "CREATE INDEX request_log_by_time ON request_log (tenant, created_at, request_id)",
    "CREATE INDEX request_log_by_age ON request_log (created_at, tenant, request_id)",
    // Each ends like a page's order: without statistics SQLite would sort by time and look at every record else.
    "CREATE INDEX request_log_by_agent ON request_log (tenant, caller_agent, created_at, request_id)",
    "CREATE INDEX request_log_by_session ON request_log (tenant, session_id, created_at, request_id)",
    "CREATE INDEX request_log_by_key ON request_log (tenant, key_id, created_at, request_id)",
    "CREATE INDEX request_log_by_end_user ON request_log (tenant, end_user, created_at, request_id)",
    "CREATE INDEX request_log_by_external_id ON request_log (tenant, external_request_id, created_at, request_id)",

    `CREATE TABLE request_contents (
      tenant {text} NOT NULL, request_id {text} NOT NULL, created_at BIGINT NOT NULL, bytes BIGINT NOT NULL, content {text} NOT NULL,
      PRIMARY KEY (tenant, request_id))`,
    "CREATE INDEX request_contents_by_age ON request_contents (created_at, tenant, request_id)",

    `CREATE TABLE sessions (
      tenant {text} NOT NULL, id {text} NOT NULL, caller_agent {text} NOT NULL, environment {text} NOT NULL, last_status {text} NOT NULL,
      requests BIGINT NOT NULL, errors BIGINT NOT NULL, prompt_tokens BIGINT NOT NULL, completion_tokens BIGINT NOT NULL,
      cost_nano BIGINT NOT NULL, first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, PRIMARY KEY (tenant, id))`,
    "CREATE INDEX sessions_by_time ON sessions (tenant, first_at, id)",

    `CREATE TABLE caller_agents (
      tenant {text} NOT NULL, id {text} NOT NULL, agent_key {text} NOT NULL, description {text} NOT NULL, model {text} NOT NULL,
      environment {text} NOT NULL, discovered SMALLINT NOT NULL, last_seen_at BIGINT,
      created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision BIGINT NOT NULL, PRIMARY KEY (tenant, id))`,
    "CREATE UNIQUE INDEX caller_agents_by_key ON caller_agents (tenant, agent_key)",

    `CREATE TABLE audit (
      tenant {text} NOT NULL, sequence BIGINT NOT NULL, happened_at BIGINT NOT NULL, actor {text} NOT NULL, action {text} NOT NULL,
      subject_kind {text} NOT NULL, subject_id {text} NOT NULL, outcome {text} NOT NULL, details {text} NOT NULL,
      request_id {text} NOT NULL, prev_hash {text} NOT NULL, hash {text} NOT NULL, PRIMARY KEY (tenant, sequence))`,
    // The end of each tenant's chain: its row is the lock of whoever appends, and tells whether entries are missing at the end.
    "CREATE TABLE audit_heads (tenant {text} PRIMARY KEY, sequence BIGINT NOT NULL, hash {text} NOT NULL)",

    `CREATE TABLE idempotency (
      tenant {text} NOT NULL, scope {text} NOT NULL, client_key {text} NOT NULL, body_hash {text} NOT NULL, token {text} NOT NULL,
      state {text} NOT NULL, started_at BIGINT NOT NULL, runs_until BIGINT NOT NULL, kept_until BIGINT NOT NULL,
      http_status INTEGER NOT NULL, meta {text} NOT NULL, body {bytes} NOT NULL, PRIMARY KEY (tenant, scope, client_key))`,
    "CREATE INDEX idempotency_by_age ON idempotency (kept_until)",

    `CREATE TABLE responses (
      tenant {text} NOT NULL, owner {text} NOT NULL, id {text} NOT NULL, created_at BIGINT NOT NULL, kept_at BIGINT NOT NULL,
      response {text} NOT NULL, input_items {text} NOT NULL, messages {text} NOT NULL, bytes BIGINT NOT NULL,
      PRIMARY KEY (tenant, owner, id))`,
    "CREATE INDEX responses_by_age ON responses (kept_at)",
  ],
  sqlite: [
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
  ],
  postgres: [
    `CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN RAISE EXCEPTION ''the audit log is append-only''; END'`,
    "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()",
    // The second wall: whatever a WHERE forgets, a transaction sees the rows of the tenant that it named, `*` names all.
    ...tables.flatMap((table) => [
      `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`,
      `ALTER TABLE ${table} FORCE ROW LEVEL SECURITY`,
      `CREATE POLICY tenant_wall ON ${table} USING (current_setting('dragoman.tenant', true) IN (tenant, '*'))`,
    ]),
  ],
};
