DROP TRIGGER IF EXISTS guard_apikey_insert
---
-- REPLACE deletes the old row without a word to the delete trigger, so an insert looks for it first.
CREATE TRIGGER guard_apikey_insert BEFORE INSERT ON keys_apikey
BEGIN
  SELECT RAISE(ABORT, 'An API key is Enabled on creation') WHERE NEW.status IS NOT 'enabled';
  SELECT RAISE(ABORT, 'An API key is never replaced')
    WHERE EXISTS (SELECT 1 FROM keys_apikey WHERE id = NEW.id)
       OR EXISTS (SELECT 1 FROM keys_apikey WHERE digest = NEW.digest)
       OR EXISTS (SELECT 1 FROM keys_apikey
                  WHERE merchant_id = NEW.merchant_id AND folded_name = NEW.folded_name AND status <> 'revoked');
END
---
DROP TRIGGER IF EXISTS guard_apikey_update
---
CREATE TRIGGER guard_apikey_update BEFORE UPDATE ON keys_apikey
BEGIN
  SELECT RAISE(ABORT, 'Id, merchant, mode, permissions, digest, mask, origin, creator and creation time of an API key never change')
    WHERE NEW.rowid IS NOT OLD.rowid
       OR NEW.id IS NOT OLD.id
       OR NEW.merchant_id IS NOT OLD.merchant_id
       OR NEW.mode IS NOT OLD.mode
       OR NEW.permissions IS NOT OLD.permissions
       OR NEW.digest IS NOT OLD.digest
       OR NEW.head IS NOT OLD.head
       OR NEW.tail IS NOT OLD.tail
       OR NEW.duplicated_from_id IS NOT OLD.duplicated_from_id
       OR NEW.created_by_id IS NOT OLD.created_by_id
       OR NEW.created_at IS NOT OLD.created_at;
  SELECT RAISE(ABORT, 'An API key moves only Enabled to Disabled, Disabled to Enabled, and Disabled to Revoked')
    WHERE NEW.status IS NOT OLD.status
      AND NOT (OLD.status = 'enabled' AND NEW.status = 'disabled')
      AND NOT (OLD.status = 'disabled' AND NEW.status IN ('enabled', 'revoked'));
  SELECT RAISE(ABORT, 'A revoked API key never changes')
    WHERE OLD.status = 'revoked'
      AND (NEW.name IS NOT OLD.name
        OR NEW.folded_name IS NOT OLD.folded_name
        OR NEW.description IS NOT OLD.description
        OR NEW.secret_ciphertext IS NOT OLD.secret_ciphertext
        OR NEW.expires_at IS NOT OLD.expires_at
        OR NEW.allowed_networks IS NOT OLD.allowed_networks
        OR NEW.revision IS NOT OLD.revision);
  -- UPDATE OR REPLACE would delete the row that holds the name.
  SELECT RAISE(ABORT, 'Another API key of this merchant account has this name')
    WHERE NEW.folded_name IS NOT OLD.folded_name
      AND EXISTS (SELECT 1 FROM keys_apikey
                  WHERE merchant_id = NEW.merchant_id AND folded_name = NEW.folded_name
                    AND status <> 'revoked' AND id <> OLD.id);
END
---
DROP TRIGGER IF EXISTS guard_apikey_delete
---
CREATE TRIGGER guard_apikey_delete BEFORE DELETE ON keys_apikey
BEGIN
  SELECT RAISE(ABORT, 'An API key is never deleted');
END
---
DROP TRIGGER IF EXISTS guard_merchant_update
---
CREATE TRIGGER guard_merchant_update BEFORE UPDATE ON keys_merchant
BEGIN
  SELECT RAISE(ABORT, 'Id, creator and creation time of a merchant account never change')
    WHERE NEW.rowid IS NOT OLD.rowid
       OR NEW.id IS NOT OLD.id
       OR NEW.created_by_id IS NOT OLD.created_by_id
       OR NEW.created_at IS NOT OLD.created_at;
END
---
DROP TRIGGER IF EXISTS guard_merchant_delete
---
CREATE TRIGGER guard_merchant_delete BEFORE DELETE ON keys_merchant
BEGIN
  SELECT RAISE(ABORT, 'A merchant account with API keys or a history is never deleted')
    WHERE EXISTS (SELECT 1 FROM keys_apikey WHERE merchant_id = OLD.id)
       OR EXISTS (SELECT 1 FROM keys_historyentry WHERE merchant_id = OLD.id);
END
---
DROP TRIGGER IF EXISTS guard_merchant_insert
---
CREATE TRIGGER guard_merchant_insert BEFORE INSERT ON keys_merchant
BEGIN
  SELECT RAISE(ABORT, 'A merchant account is never replaced')
    WHERE EXISTS (SELECT 1 FROM keys_merchant WHERE id = NEW.id);
END
---
DROP TRIGGER IF EXISTS guard_history_insert
---
CREATE TRIGGER guard_history_insert BEFORE INSERT ON keys_historyentry
BEGIN
  SELECT RAISE(ABORT, 'A history row is never replaced')
    WHERE EXISTS (SELECT 1 FROM keys_historyentry WHERE id = NEW.id);
END
---
DROP TRIGGER IF EXISTS guard_history_update
---
CREATE TRIGGER guard_history_update BEFORE UPDATE ON keys_historyentry
BEGIN
  SELECT RAISE(ABORT, 'A history row never changes');
END
---
DROP TRIGGER IF EXISTS guard_history_delete
---
CREATE TRIGGER guard_history_delete BEFORE DELETE ON keys_historyentry
BEGIN
  SELECT RAISE(ABORT, 'A history row is never deleted');
END
