CREATE OR REPLACE FUNCTION keys_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
END
$$
---
CREATE OR REPLACE TRIGGER guard_apikey_insert BEFORE INSERT ON keys_apikey
FOR EACH ROW WHEN (NEW.status IS DISTINCT FROM 'enabled')
EXECUTE FUNCTION keys_refuse('An API key is Enabled on creation')
---
CREATE OR REPLACE FUNCTION keys_guard_apikey_update() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  complaint text;
BEGIN
  IF (NEW.id, NEW.merchant_id, NEW.mode, NEW.permissions, NEW.digest, NEW.head, NEW.tail,
      NEW.duplicated_from_id, NEW.created_by_id, NEW.created_at)
     IS DISTINCT FROM
     (OLD.id, OLD.merchant_id, OLD.mode, OLD.permissions, OLD.digest, OLD.head, OLD.tail,
      OLD.duplicated_from_id, OLD.created_by_id, OLD.created_at) THEN
    complaint := 'Id, merchant, mode, permissions, digest, mask, origin, creator and creation time of an API key never change';
  ELSIF NEW.status IS DISTINCT FROM OLD.status
     AND (OLD.status, NEW.status) NOT IN (('enabled', 'disabled'), ('disabled', 'enabled'), ('disabled', 'revoked')) THEN
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
CREATE OR REPLACE TRIGGER guard_apikey_update BEFORE UPDATE ON keys_apikey
FOR EACH ROW EXECUTE FUNCTION keys_guard_apikey_update()
---
CREATE OR REPLACE TRIGGER guard_apikey_delete BEFORE DELETE ON keys_apikey
FOR EACH ROW EXECUTE FUNCTION keys_refuse('An API key is never deleted')
---
CREATE OR REPLACE TRIGGER guard_apikey_truncate BEFORE TRUNCATE ON keys_apikey
FOR EACH STATEMENT EXECUTE FUNCTION keys_refuse('An API key is never deleted')
---
CREATE OR REPLACE TRIGGER guard_merchant_update BEFORE UPDATE ON keys_merchant
FOR EACH ROW WHEN ((NEW.id, NEW.created_by_id, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.created_by_id, OLD.created_at))
EXECUTE FUNCTION keys_refuse('Id, creator and creation time of a merchant account never change')
---
CREATE OR REPLACE FUNCTION keys_guard_merchant_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM keys_apikey WHERE merchant_id = OLD.id)
     OR EXISTS (SELECT 1 FROM keys_historyentry WHERE merchant_id = OLD.id) THEN
    RAISE EXCEPTION 'A merchant account with API keys or a history is never deleted'
      USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
  END IF;
  RETURN OLD;
END
$$
---
CREATE OR REPLACE TRIGGER guard_merchant_delete BEFORE DELETE ON keys_merchant
FOR EACH ROW EXECUTE FUNCTION keys_guard_merchant_delete()
---
CREATE OR REPLACE TRIGGER guard_merchant_truncate BEFORE TRUNCATE ON keys_merchant
FOR EACH STATEMENT EXECUTE FUNCTION keys_refuse('A merchant account with API keys or a history is never deleted')
---
CREATE OR REPLACE TRIGGER guard_history_update BEFORE UPDATE ON keys_historyentry
FOR EACH ROW EXECUTE FUNCTION keys_refuse('A history row never changes')
---
CREATE OR REPLACE TRIGGER guard_history_delete BEFORE DELETE ON keys_historyentry
FOR EACH ROW EXECUTE FUNCTION keys_refuse('A history row is never deleted')
---
CREATE OR REPLACE TRIGGER guard_history_truncate BEFORE TRUNCATE ON keys_historyentry
FOR EACH STATEMENT EXECUTE FUNCTION keys_refuse('A history row is never deleted')
