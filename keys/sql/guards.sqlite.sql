-- No trigger may name the table of another: while a migration rebuilds that one, SQLite would refuse every change.
CREATE TRIGGER guard_apikey_insert BEFORE INSERT ON keys_apikey
WHEN NEW.status IS NOT 'enabled'
BEGIN
  SELECT RAISE(ABORT, 'An API key is Enabled on creation');
END
---
-- REPLACE deletes rows without a word to the delete trigger, so an insert looks for them first. Where no rowid is
-- given, NEW.rowid is -1 here, which guard_apikey_rowid keeps free.
CREATE TRIGGER guard_apikey_replace BEFORE INSERT ON keys_apikey
WHEN EXISTS (SELECT 1 FROM keys_apikey WHERE rowid = NEW.rowid)
  OR EXISTS (SELECT 1 FROM keys_apikey WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM keys_apikey WHERE digest = NEW.digest)
  OR EXISTS (SELECT 1 FROM keys_apikey
             WHERE merchant_id = NEW.merchant_id AND folded_name = NEW.folded_name AND status <> 'revoked')
BEGIN
  SELECT RAISE(ABORT, 'An API key is never replaced');
END
---
CREATE TRIGGER guard_apikey_rowid AFTER INSERT ON keys_apikey
WHEN NEW.rowid < 1
BEGIN
  SELECT RAISE(ABORT, 'The rowid of an API key is positive');
END
---
CREATE TRIGGER guard_apikey_identity BEFORE UPDATE ON keys_apikey
WHEN NEW.rowid IS NOT OLD.rowid
  OR NEW.id IS NOT OLD.id
  OR NEW.merchant_id IS NOT OLD.merchant_id
  OR NEW.mode IS NOT OLD.mode
  OR NEW.permissions IS NOT OLD.permissions
  OR NEW.digest IS NOT OLD.digest
  OR NEW.head IS NOT OLD.head
  OR NEW.tail IS NOT OLD.tail
  OR NEW.duplicated_from_id IS NOT OLD.duplicated_from_id
  OR NEW.created_by_id IS NOT OLD.created_by_id
  OR NEW.created_at IS NOT OLD.created_at
BEGIN
  SELECT RAISE(ABORT, 'Id, merchant, mode, permissions, digest, mask, origin, creator and creation time of an API key never change');
END
---
CREATE TRIGGER guard_apikey_transition BEFORE UPDATE ON keys_apikey
WHEN NEW.status IS NOT OLD.status
  AND NOT (OLD.status IS 'enabled' AND NEW.status IS 'disabled')
  AND NOT (OLD.status IS 'disabled' AND (NEW.status IS 'enabled' OR NEW.status IS 'revoked'))
BEGIN
  SELECT RAISE(ABORT, 'An API key moves only Enabled to Disabled, Disabled to Enabled, and Disabled to Revoked');
END
---
CREATE TRIGGER guard_apikey_revoked BEFORE UPDATE ON keys_apikey
WHEN OLD.status = 'revoked'
  AND (NEW.name IS NOT OLD.name
    OR NEW.folded_name IS NOT OLD.folded_name
    OR NEW.description IS NOT OLD.description
    OR NEW.secret_ciphertext IS NOT OLD.secret_ciphertext
    OR NEW.expires_at IS NOT OLD.expires_at
    OR NEW.allowed_networks IS NOT OLD.allowed_networks
    OR NEW.revision IS NOT OLD.revision)
BEGIN
  SELECT RAISE(ABORT, 'A revoked API key never changes');
END
---
-- The table's constraint says the same, but PRAGMA ignore_check_constraints passes that by.
CREATE TRIGGER guard_apikey_secret BEFORE UPDATE ON keys_apikey
WHEN OLD.status IS NOT 'revoked' AND NEW.status IS 'revoked' AND NEW.secret_ciphertext IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'A revoked API key has no ciphertext');
END
---
-- UPDATE OR REPLACE would delete the row that holds the name.
CREATE TRIGGER guard_apikey_name BEFORE UPDATE ON keys_apikey
WHEN NEW.folded_name IS NOT OLD.folded_name
  AND EXISTS (SELECT 1 FROM keys_apikey
              WHERE merchant_id = NEW.merchant_id AND folded_name = NEW.folded_name
                AND status <> 'revoked' AND id <> OLD.id)
BEGIN
  SELECT RAISE(ABORT, 'Another API key of this merchant account has this name');
END
---
CREATE TRIGGER guard_apikey_delete BEFORE DELETE ON keys_apikey
BEGIN
  SELECT RAISE(ABORT, 'An API key is never deleted');
END
---
CREATE TRIGGER guard_merchant_replace BEFORE INSERT ON keys_merchant
WHEN EXISTS (SELECT 1 FROM keys_merchant WHERE rowid = NEW.rowid)
  OR EXISTS (SELECT 1 FROM keys_merchant WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'A merchant account is never replaced');
END
---
CREATE TRIGGER guard_merchant_rowid AFTER INSERT ON keys_merchant
WHEN NEW.rowid < 1
BEGIN
  SELECT RAISE(ABORT, 'The rowid of a merchant account is positive');
END
---
CREATE TRIGGER guard_merchant_identity BEFORE UPDATE ON keys_merchant
WHEN NEW.rowid IS NOT OLD.rowid
  OR NEW.id IS NOT OLD.id
  OR NEW.created_by_id IS NOT OLD.created_by_id
  OR NEW.created_at IS NOT OLD.created_at
BEGIN
  SELECT RAISE(ABORT, 'Id, creator and creation time of a merchant account never change');
END
---
CREATE TRIGGER guard_merchant_delete BEFORE DELETE ON keys_merchant
BEGIN
  SELECT RAISE(ABORT, 'A merchant account is never deleted');
END
---
CREATE TRIGGER guard_history_replace BEFORE INSERT ON keys_historyentry
WHEN EXISTS (SELECT 1 FROM keys_historyentry WHERE rowid = NEW.rowid)
  OR EXISTS (SELECT 1 FROM keys_historyentry WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'A history row is never replaced');
END
---
CREATE TRIGGER guard_history_rowid AFTER INSERT ON keys_historyentry
WHEN NEW.rowid < 1
BEGIN
  SELECT RAISE(ABORT, 'The rowid of a history row is positive');
END
---
CREATE TRIGGER guard_history_update BEFORE UPDATE ON keys_historyentry
BEGIN
  SELECT RAISE(ABORT, 'A history row never changes');
END
---
CREATE TRIGGER guard_history_delete BEFORE DELETE ON keys_historyentry
BEGIN
  SELECT RAISE(ABORT, 'A history row is never deleted');
END
---
-- Unique constraints alone would let REPLACE take the row that has the place.
CREATE TRIGGER guard_history_place BEFORE INSERT ON keys_historyentry
WHEN length(NEW.hash) IS NOT 32
  OR EXISTS (SELECT 1 FROM keys_historyentry WHERE merchant_id IS NEW.merchant_id AND sequence = NEW.sequence)
  OR NEW.previous_hash IS NOT CASE
       WHEN NEW.sequence = 1 THEN zeroblob(32)
       WHEN NEW.sequence > 1 THEN (SELECT hash FROM keys_historyentry
                                   WHERE merchant_id IS NEW.merchant_id AND sequence = NEW.sequence - 1)
     END
  OR NEW.previous_hash IS NULL
BEGIN
  SELECT RAISE(ABORT, 'A history row comes after the last one of its chain');
END
---
CREATE TRIGGER guard_head_replace BEFORE INSERT ON keys_historyhead
WHEN EXISTS (SELECT 1 FROM keys_historyhead WHERE rowid = NEW.rowid)
  OR EXISTS (SELECT 1 FROM keys_historyhead WHERE chain = NEW.chain)
BEGIN
  SELECT RAISE(ABORT, 'The head of a chain is never replaced');
END
---
CREATE TRIGGER guard_head_rowid AFTER INSERT ON keys_historyhead
WHEN NEW.rowid < 1
BEGIN
  SELECT RAISE(ABORT, 'The rowid of a head is positive');
END
---
CREATE TRIGGER guard_head_update BEFORE UPDATE ON keys_historyhead
WHEN NEW.rowid IS NOT OLD.rowid
  OR NEW.chain IS NOT OLD.chain
  OR NEW.sequence <= OLD.sequence
  OR length(NEW.hash) IS NOT 32
BEGIN
  SELECT RAISE(ABORT, 'The head of a chain only moves forward');
END
---
CREATE TRIGGER guard_head_delete BEFORE DELETE ON keys_historyhead
BEGIN
  SELECT RAISE(ABORT, 'The head of a chain is never deleted');
END
