/** The tables of novamem, as far as its public documentation names them. */
export const NOVAMEM_SCHEMA = `
CREATE TABLE "user" (id text PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL, "createdAt" timestamptz NOT NULL DEFAULT now());
CREATE TABLE session (id text PRIMARY KEY, "userId" text NOT NULL REFERENCES "user" ON DELETE CASCADE, token text NOT NULL UNIQUE, "expiresAt" timestamptz NOT NULL);
CREATE TABLE account (id text PRIMARY KEY, "userId" text NOT NULL REFERENCES "user" ON DELETE CASCADE, "providerId" text NOT NULL);
CREATE TABLE verification (id text PRIMARY KEY, identifier text NOT NULL, value text NOT NULL, "expiresAt" timestamptz NOT NULL);
CREATE TABLE jwks (id text PRIMARY KEY, "publicKey" text NOT NULL, "createdAt" timestamptz NOT NULL);
CREATE TABLE projects (id text PRIMARY KEY, owner_id text NOT NULL REFERENCES "user", name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE project_members (project_id text REFERENCES projects ON DELETE CASCADE, user_id text REFERENCES "user" ON DELETE CASCADE, role text NOT NULL, PRIMARY KEY (project_id, user_id));
CREATE TABLE user_tokens (id text PRIMARY KEY, user_id text NOT NULL REFERENCES "user", token_hash text NOT NULL UNIQUE, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE user_active_project (user_id text PRIMARY KEY REFERENCES "user", project_id text REFERENCES projects);
CREATE TABLE memory_entries (
  id text PRIMARY KEY, user_id text NOT NULL, project_id text REFERENCES projects, content text NOT NULL,
  namespace text NOT NULL DEFAULT 'default', source text NOT NULL, metadata jsonb NOT NULL DEFAULT '{}', cold boolean NOT NULL DEFAULT false,
  content_hash text NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, embedded_at timestamptz);
CREATE INDEX memory_entries_scope ON memory_entries (user_id, project_id, namespace);
CREATE INDEX memory_entries_hash ON memory_entries (content_hash);
CREATE TABLE memory_access (id bigserial PRIMARY KEY, entry_id text NOT NULL REFERENCES memory_entries ON DELETE CASCADE, accessed_at timestamptz NOT NULL);
CREATE TABLE memory_fts (entry_id text PRIMARY KEY REFERENCES memory_entries ON DELETE CASCADE, tsv tsvector NOT NULL);
CREATE INDEX memory_fts_tsv ON memory_fts USING gin (tsv);
CREATE TABLE memory_relations (
  user_id text NOT NULL, project_id text, from_id text NOT NULL REFERENCES memory_entries ON DELETE CASCADE,
  to_id text NOT NULL REFERENCES memory_entries ON DELETE CASCADE, relation text NOT NULL, strength double precision NOT NULL,
  UNIQUE (from_id, to_id, relation));
CREATE TABLE cold_orphans (point_id text PRIMARY KEY, collection text NOT NULL, found_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE decay_runs (id bigserial PRIMARY KEY, started_at timestamptz NOT NULL, decayed integer NOT NULL);
CREATE TABLE metrics_samples (id bigserial PRIMARY KEY, name text NOT NULL, value double precision NOT NULL, sampled_at timestamptz NOT NULL);
CREATE TABLE admin_audit_log (id bigserial PRIMARY KEY, actor text NOT NULL, action text NOT NULL, at timestamptz NOT NULL);
CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER memory_entries_touch BEFORE UPDATE ON memory_entries FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE VIEW warm_entries AS SELECT id, user_id, content FROM memory_entries WHERE NOT cold;
`;
