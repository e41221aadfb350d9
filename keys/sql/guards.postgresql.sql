-- The rules stand in functions, not in WHEN clauses, which would forbid every later change of a column's type. Each
-- function fixes its search path, so that no table or operator of the session's own can answer in their place.
CREATE OR REPLACE FUNCTION keys_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
END
$$
---
CREATE OR REPLACE FUNCTION keys_guard_apikey() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  complaint text;
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.status = 'enabled' THEN
      RETURN NEW;
    END IF;
    complaint := 'An API key is Enabled on creation';
  ELSIF (NEW.id, NEW.merchant_id, NEW.mode, NEW.permissions, NEW.digest, NEW.head, NEW.tail,
         NEW.duplicated_from_id, NEW.created_by_id, NEW.created_at)
     IS DISTINCT FROM
        (OLD.id, OLD.merchant_id, OLD.mode, OLD.permissions, OLD.digest, OLD.head, OLD.tail,
         OLD.duplicated_from_id, OLD.created_by_id, OLD.created_at) THEN
    complaint := 'Id, merchant, mode, permissions, digest, mask, origin, creator and creation time of an API key never change';
  ELSIF NEW.status IS DISTINCT FROM OLD.status
    AND ((OLD.status, NEW.status) IN (('enabled', 'disabled'), ('disabled', 'enabled'), ('disabled', 'revoked'))) IS NOT TRUE THEN
    complaint := 'An API key moves only Enabled to Disabled, Disabled to Enabled, and Disabled to Revoked';
  ELSIF OLD.status = 'revoked'
    AND (NEW.name, NEW.folded_name, NEW.description, NEW.secret_ciphertext, NEW.expires_at, NEW.allowed_networks, NEW.revision)
    IS DISTINCT FROM
        (OLD.name, OLD.folded_name, OLD.description, OLD.secret_ciphertext, OLD.expires_at, OLD.allowed_networks, OLD.revision) THEN
    complaint := 'A revoked API key never changes';
  ELSE
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '%', complaint USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
END
$$
---
CREATE OR REPLACE TRIGGER guard_apikey_insert BEFORE INSERT ON keys_apikey
FOR EACH ROW EXECUTE FUNCTION keys_guard_apikey()
---
CREATE OR REPLACE TRIGGER guard_apikey_update BEFORE UPDATE ON keys_apikey
FOR EACH ROW EXECUTE FUNCTION keys_guard_apikey()
---
CREATE OR REPLACE TRIGGER guard_apikey_delete BEFORE DELETE ON keys_apikey
FOR EACH ROW EXECUTE FUNCTION keys_refuse('An API key is never deleted')
---
CREATE OR REPLACE TRIGGER guard_apikey_truncate BEFORE TRUNCATE ON keys_apikey
FOR EACH STATEMENT EXECUTE FUNCTION keys_refuse('An API key is never deleted')
---
CREATE OR REPLACE FUNCTION keys_guard_merchant() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (NEW.id, NEW.created_by_id, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.created_by_id, OLD.created_at) THEN
    RAISE EXCEPTION 'Id, creator and creation time of a merchant account never change'
      USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
  END IF;
  RETURN NEW;
END
$$
---
CREATE OR REPLACE TRIGGER guard_merchant_update BEFORE UPDATE ON keys_merchant
FOR EACH ROW EXECUTE FUNCTION keys_guard_merchant()
---
CREATE OR REPLACE TRIGGER guard_merchant_delete BEFORE DELETE ON keys_merchant
FOR EACH ROW EXECUTE FUNCTION keys_refuse('A merchant account is never deleted')
---
CREATE OR REPLACE TRIGGER guard_merchant_truncate BEFORE TRUNCATE ON keys_merchant
FOR EACH STATEMENT EXECUTE FUNCTION keys_refuse('A merchant account is never deleted')
---
CREATE OR REPLACE TRIGGER guard_history_update BEFORE UPDATE ON keys_historyentry
FOR EACH ROW EXECUTE FUNCTION keys_refuse('A history row never changes')
---
CREATE OR REPLACE TRIGGER guard_history_delete BEFORE DELETE ON keys_historyentry
FOR EACH ROW EXECUTE FUNCTION keys_refuse('A history row is never deleted')
---
CREATE OR REPLACE TRIGGER guard_history_truncate BEFORE TRUNCATE ON keys_historyentry
FOR EACH STATEMENT EXECUTE FUNCTION keys_refuse('A history row is never deleted')
---
-- Asked once a statement, so that many rows at once cost little more than their look-ups.
CREATE OR REPLACE FUNCTION keys_guard_history_place() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  history text := quote_ident(TG_TABLE_SCHEMA) || '.' || quote_ident(TG_TABLE_NAME);
  misplaced boolean;
BEGIN
  EXECUTE format('SELECT EXISTS (
    SELECT FROM added
    WHERE octet_length(hash) <> 32 OR previous_hash IS DISTINCT FROM CASE
      WHEN sequence = 1 THEN decode(repeat(''00'', 32), ''hex'')
      WHEN merchant_id IS NULL THEN
        (SELECT earlier.hash FROM %1$s AS earlier
         WHERE earlier.merchant_id IS NULL AND earlier.sequence = added.sequence - 1)
      ELSE
        (SELECT earlier.hash FROM %1$s AS earlier
         WHERE earlier.merchant_id = added.merchant_id AND earlier.sequence = added.sequence - 1)
    END)', history) INTO misplaced;
  IF misplaced THEN
    RAISE EXCEPTION 'A history row comes after the last one of its chain'
      USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END
$$
---
CREATE OR REPLACE TRIGGER guard_history_place AFTER INSERT ON keys_historyentry
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keys_guard_history_place()
---
CREATE OR REPLACE FUNCTION keys_guard_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.chain = OLD.chain AND NEW.sequence > OLD.sequence AND octet_length(NEW.hash) = 32 THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'The head of a chain only moves forward' USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
END
$$
---
CREATE OR REPLACE TRIGGER guard_head_update BEFORE UPDATE ON keys_historyhead
FOR EACH ROW EXECUTE FUNCTION keys_guard_head()
---
CREATE OR REPLACE TRIGGER guard_head_delete BEFORE DELETE ON keys_historyhead
FOR EACH ROW EXECUTE FUNCTION keys_refuse('The head of a chain is never deleted')
---
CREATE OR REPLACE TRIGGER guard_head_truncate BEFORE TRUNCATE ON keys_historyhead
FOR EACH STATEMENT EXECUTE FUNCTION keys_refuse('The head of a chain is never deleted')
