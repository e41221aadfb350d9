-- What a verdict depends on has changed: verifiers read it here. A new key is no change, because no verifier remembers
-- that there was none.
CREATE TRIGGER feed_apikey AFTER UPDATE OF status, name, expires_at, allowed_networks ON keys_apikey
WHEN NEW.status IS NOT OLD.status
  OR NEW.name IS NOT OLD.name
  OR NEW.expires_at IS NOT OLD.expires_at
  OR NEW.allowed_networks IS NOT OLD.allowed_networks
BEGIN
  INSERT INTO keys_change (kind, subject_id, digest, status, at)
  VALUES ('key', NEW.id, NEW.digest, NEW.status, strftime('%Y-%m-%d %H:%M:%f', 'now'));
END
---
CREATE TRIGGER feed_merchant AFTER UPDATE OF status, name ON keys_merchant
WHEN NEW.status IS NOT OLD.status OR NEW.name IS NOT OLD.name
BEGIN
  INSERT INTO keys_change (kind, subject_id, status, at)
  VALUES ('merchant', NEW.id, NEW.status, strftime('%Y-%m-%d %H:%M:%f', 'now'));
END
