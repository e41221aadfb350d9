-- What a verdict depends on has changed: verifiers are woken at the commit, and read it here. The first changes of a
-- transaction are named in what wakes them, so that they are forgotten a round trip earlier; after those a name for each
-- would only fill the queue.
CREATE OR REPLACE FUNCTION keys_feed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  feed text := quote_ident(TG_TABLE_SCHEMA) || '.keys_change';
  now_in bigint := pg_current_xact_id()::text::bigint;
  named int := coalesce(nullif(current_setting('keys.changes_named', true), ''), '0')::int;
  name text;
BEGIN
  IF TG_TABLE_NAME = 'keys_merchant' THEN
    IF (NEW.status, NEW.name) IS NOT DISTINCT FROM (OLD.status, OLD.name) THEN
      RETURN NULL;
    END IF;
    EXECUTE format('INSERT INTO %s (kind, subject_id, status, at, transaction) VALUES ($1, $2, $3, clock_timestamp(), $4)', feed)
      USING 'merchant', NEW.id, NEW.status, now_in;
    name := 'merchant:' || NEW.id;
  ELSE
    IF (NEW.status, NEW.name, NEW.expires_at, NEW.allowed_networks)
       IS NOT DISTINCT FROM (OLD.status, OLD.name, OLD.expires_at, OLD.allowed_networks) THEN
      RETURN NULL;
    END IF;
    EXECUTE format('INSERT INTO %s (kind, subject_id, digest, status, at, transaction) VALUES ($1, $2, $3, $4, clock_timestamp(), $5)', feed)
      USING 'key', NEW.id, NEW.digest, NEW.status, now_in;
    name := 'key:' || encode(NEW.digest, 'hex');
  END IF;
  IF named < 16 THEN
    PERFORM set_config('keys.changes_named', (named + 1)::text, true);
    PERFORM pg_notify('keys_change', name);
  ELSE
    PERFORM pg_notify('keys_change', '');
  END IF;
  RETURN NULL;
END
$$
---
-- New keys are told too: a verifier that is asked for unknown keys more often than it may look for them has to know all
-- that there are. More than a few at once, and it reads them all anew.
CREATE OR REPLACE FUNCTION keys_feed_new() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  feed text := quote_ident(TG_TABLE_SCHEMA) || '.keys_change';
  now_in bigint := pg_current_xact_id()::text::bigint;
  number bigint := (SELECT count(*) FROM added);
BEGIN
  IF number > 100 THEN
    EXECUTE format('INSERT INTO %s (kind, status, at, transaction) VALUES ($1, $2, clock_timestamp(), $3)', feed)
      USING 'keys', '', now_in;
  ELSIF number > 0 THEN
    EXECUTE format('INSERT INTO %s (kind, subject_id, digest, status, at, transaction)
      SELECT $1, id, digest, status, clock_timestamp(), $2 FROM added', feed) USING 'key', now_in;
  END IF;
  PERFORM pg_notify('keys_change', '');
  RETURN NULL;
END
$$
---
CREATE OR REPLACE TRIGGER feed_apikey_insert AFTER INSERT ON keys_apikey
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keys_feed_new()
---
CREATE OR REPLACE TRIGGER feed_apikey AFTER UPDATE ON keys_apikey
FOR EACH ROW EXECUTE FUNCTION keys_feed()
---
CREATE OR REPLACE TRIGGER feed_merchant AFTER UPDATE ON keys_merchant
FOR EACH ROW EXECUTE FUNCTION keys_feed()
