-- What a verdict depends on has changed: verifiers are woken at the commit, and read it here.
CREATE OR REPLACE FUNCTION keys_feed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  feed text := quote_ident(TG_TABLE_SCHEMA) || '.keys_change';
  now_in bigint := pg_current_xact_id()::text::bigint;
BEGIN
  IF TG_TABLE_NAME = 'keys_merchant' THEN
    IF (NEW.status, NEW.name) IS NOT DISTINCT FROM (OLD.status, OLD.name) THEN
      RETURN NULL;
    END IF;
    EXECUTE format('INSERT INTO %s (kind, subject_id, status, at, transaction) VALUES ($1, $2, $3, clock_timestamp(), $4)', feed)
      USING 'merchant', NEW.id, NEW.status, now_in;
  ELSE
    IF (NEW.status, NEW.name, NEW.expires_at, NEW.allowed_networks)
       IS NOT DISTINCT FROM (OLD.status, OLD.name, OLD.expires_at, OLD.allowed_networks) THEN
      RETURN NULL;
    END IF;
    EXECUTE format('INSERT INTO %s (kind, subject_id, digest, status, at, transaction) VALUES ($1, $2, $3, $4, clock_timestamp(), $5)', feed)
      USING 'key', NEW.id, NEW.digest, NEW.status, now_in;
  END IF;
  PERFORM pg_notify('keys_change', '');
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
