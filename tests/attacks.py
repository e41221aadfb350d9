"""Raw SQL that breaks each rule of API keys, merchant accounts and the history, with its answer.

`{enabled}`, `{disabled}` and `{revoked}` stand for keys of one account in these states, `{second}` for
another enabled key of it, `{merchant}` for the account, `{empty}` for an account without keys, `{entry}`
for a row of the history, `{user}` for a person.
"""

from typing import NamedTuple

from keys.models import ApiKey, HistoryEntry, HistoryHead, Merchant

NEVER_CHANGE = "never change"
TRANSITION = "moves only"
REVOKED = "A revoked API key never changes"
CREATION = "Enabled on creation"
KEY_DELETED = "An API key is never deleted"
MERCHANT_DELETED = "A merchant account is never deleted"
HISTORY_CHANGED = "A history row never changes"
HISTORY_DELETED = "A history row is never deleted"
MISPLACED = "comes after the last one of its chain"
PLACE_TAKEN = "history_place_once|history_platform_place_once|comes after the last one of its chain"
HEAD_FORWARD = "only moves forward"
HEAD_DELETED = "The head of a chain is never deleted"
# What makes a copy of the last row of a chain the next one, but for its hash.
NEXT = {"sequence": "sequence + 1", "previous_hash": "hash"}
# SQLite's triggers see a replacement before its constraints do.
REPLACED = "is never replaced"
NAME_TAKEN = "has this name"

UUID = "01234567890000000000000000000000"


class Attack(NamedTuple):
    name: str
    sql: str
    complaint: str

    def __str__(self) -> str:
        return self.name


def columns(model) -> list[str]:
    """The columns that a statement can set."""
    return [field.column for field in model._meta.local_concrete_fields if not field.generated]


def copy_of(
    model, source: str, *, verb: str = "INSERT INTO", then: str = "", rowid: str = "", **changes: str
) -> str:
    """An INSERT of the row `source` under a new id, with some columns changed."""
    changes = {"id": f"'{UUID}'"} | changes
    names = columns(model)
    values = [changes.get(name, name) for name in names]
    if rowid:
        names, values = ["rowid", *names], [rowid, *values]
    return (
        f"{verb} {model._meta.db_table} ({', '.join(names)}) "
        f"SELECT {', '.join(values)} FROM {model._meta.db_table} WHERE id = '{source}' {then}"
    )


def new_key(*, digest: str, name: str = "'new'", source: str = "{enabled}", **given: str) -> str:
    return copy_of(ApiKey, source, **{"digest": digest, "folded_name": name} | given)


def statements(vendor: str) -> list[Attack]:
    """Attacks that both databases understand."""
    digest = {"sqlite": "x'01'", "postgresql": r"'\x01'"}[vendor]
    zeros = {"sqlite": "zeroblob(32)", "postgresql": "decode(repeat('00', 32), 'hex')"}[vendor]
    half = {"sqlite": "zeroblob(16)", "postgresql": "decode(repeat('00', 16), 'hex')"}[vendor]
    keys, merchants, history, heads = (
        model._meta.db_table for model in (ApiKey, Merchant, HistoryEntry, HistoryHead)
    )
    return [
        Attack("insert a disabled key", new_key(digest=digest, status="'disabled'"), CREATION),
        Attack(
            "insert a revoked key",
            new_key(digest=digest, status="'revoked'", secret_ciphertext="NULL"),
            CREATION,
        ),
        Attack("insert a key in no known state", new_key(digest=digest, status="'archived'"), CREATION),
        Attack(
            "revoke all keys at once",
            f"UPDATE {keys} SET status = 'revoked', secret_ciphertext = NULL",
            TRANSITION,
        ),
        Attack(
            "swap two states in one statement",
            f"UPDATE {keys} SET status = CASE status WHEN 'revoked' THEN 'disabled' ELSE status END",
            TRANSITION,
        ),
        Attack("enable whatever is not", f"UPDATE {keys} SET status = 'enabled'", TRANSITION),
        Attack(
            "revoke and keep the ciphertext",
            f"UPDATE {keys} SET status = 'revoked' WHERE id = '{{disabled}}'",
            "apikey_revoked_has_no_secret|A revoked API key has no ciphertext",
        ),
        Attack(
            "give a revoked key a ciphertext",
            f"UPDATE {keys} SET secret_ciphertext = 'x' WHERE id = '{{revoked}}'",
            REVOKED,
        ),
        Attack(
            "revive a revoked key with a ciphertext",
            f"UPDATE {keys} SET status = 'disabled', secret_ciphertext = 'x' WHERE id = '{{revoked}}'",
            f"{TRANSITION}|{REVOKED}",
        ),
        Attack(
            "grant more",
            f"UPDATE {keys} SET permissions = permissions || ' payouts:write' WHERE id = '{{enabled}}'",
            NEVER_CHANGE,
        ),
        Attack(
            "change permissions while disabling",
            f"UPDATE {keys} SET permissions = '', status = 'disabled' WHERE id = '{{enabled}}'",
            NEVER_CHANGE,
        ),
        Attack(
            "copy permissions from another key",
            f"UPDATE {keys} SET permissions = donor.permissions || ' x:read' "
            f"FROM {keys} AS donor WHERE donor.id = '{{second}}' AND {keys}.id = '{{enabled}}'",
            NEVER_CHANGE,
        ),
        Attack("delete an enabled key", f"DELETE FROM {keys} WHERE id = '{{enabled}}'", KEY_DELETED),
        Attack("delete a revoked key", f"DELETE FROM {keys} WHERE id = '{{revoked}}'", KEY_DELETED),
        Attack("delete all keys", f"DELETE FROM {keys}", KEY_DELETED),
        Attack("delete keys and return them", f"DELETE FROM {keys} RETURNING id", KEY_DELETED),
        Attack(
            "delete a merchant account with keys",
            f"DELETE FROM {merchants} WHERE id = '{{merchant}}'",
            MERCHANT_DELETED,
        ),
        Attack("delete all merchant accounts", f"DELETE FROM {merchants}", MERCHANT_DELETED),
        Attack(
            "give a merchant account another id",
            f"UPDATE {merchants} SET id = '{UUID}' WHERE id = '{{merchant}}'",
            NEVER_CHANGE,
        ),
        Attack(
            "give a merchant account another birthday",
            f"UPDATE {merchants} SET created_at = '2001-01-01 00:00:00+00' WHERE id = '{{merchant}}'",
            NEVER_CHANGE,
        ),
        Attack(
            "give a merchant account another creator",
            f"UPDATE {merchants} SET created_by_id = {{user}} WHERE id = '{{merchant}}'",
            NEVER_CHANGE,
        ),
        Attack("delete a history row", f"DELETE FROM {history} WHERE id = '{{entry}}'", HISTORY_DELETED),
        Attack("delete all history", f"DELETE FROM {history}", HISTORY_DELETED),
        Attack(
            "touch a history row without a change",
            f"UPDATE {history} SET reason = reason WHERE id = '{{entry}}'",
            HISTORY_CHANGED,
        ),
        *(
            Attack(name, copy_of(HistoryEntry, "{entry}", **given), complaint)
            for name, given, complaint in (
                ("insert a history row in a place that is taken", {}, PLACE_TAKEN),
                ("insert a history row and leave a gap", NEXT | {"sequence": "sequence + 2"}, MISPLACED),
                ("insert a history row before the first", NEXT | {"sequence": "0"}, MISPLACED),
                (
                    "insert a history row after another than the last",
                    NEXT | {"previous_hash": zeros},
                    MISPLACED,
                ),
                (
                    "insert a history row after none",
                    NEXT | {"previous_hash": "NULL"},
                    "(?i)null|" + MISPLACED,
                ),
                ("insert a history row with half a hash", NEXT | {"hash": half}, MISPLACED),
                ("begin another chain of an account", {"sequence": "1", "previous_hash": zeros}, PLACE_TAKEN),
                ("insert a row of another account", NEXT | {"merchant_id": "'{empty}'"}, MISPLACED),
                ("insert a row of no account", NEXT | {"merchant_id": "NULL"}, MISPLACED),
            )
        ),
        Attack("move a head back", f"UPDATE {heads} SET sequence = sequence - 1", HEAD_FORWARD),
        Attack("give a head another hash", f"UPDATE {heads} SET hash = {zeros}", HEAD_FORWARD),
        Attack(
            "give a head to another chain",
            f"UPDATE {heads} SET chain = '{UUID}', sequence = 9 WHERE chain = '{{merchant}}'",
            HEAD_FORWARD,
        ),
        Attack("delete a head", f"DELETE FROM {heads} WHERE chain = '{{merchant}}'", HEAD_DELETED),
        Attack(
            "upsert over a head",
            f"INSERT INTO {heads} (chain, sequence, hash) VALUES ('{{merchant}}', 1, {zeros}) "
            "ON CONFLICT (chain) DO UPDATE SET hash = excluded.hash",
            f"{HEAD_FORWARD}|{REPLACED}",
        ),
        Attack(
            "upsert over a key",
            new_key(
                digest=digest,
                id="id",
                then="AND true ON CONFLICT (id) DO UPDATE SET permissions = 'payouts:write'",
            ),
            f"{NEVER_CHANGE}|{REPLACED}",
        ),
        Attack(
            "upsert over a digest",
            copy_of(
                ApiKey, "{disabled}", then="AND true ON CONFLICT (digest) DO UPDATE SET status = 'revoked'"
            ),
            f"{CREATION}|{REPLACED}",
        ),
        Attack(
            "upsert over a history row",
            copy_of(
                HistoryEntry,
                "{entry}",
                **NEXT | {"id": "id"},
                then="AND true ON CONFLICT (id) DO UPDATE SET reason = 'forged'",
            ),
            f"{HISTORY_CHANGED}|{REPLACED}",
        ),
    ]


def statements_of_sqlite() -> list[Attack]:
    """REPLACE, conflict clauses and rowids: what only SQLite has."""
    verbs = ("REPLACE INTO", "INSERT OR REPLACE INTO", "INSERT OR IGNORE INTO", "INSERT OR FAIL INTO")
    second = "(SELECT {} FROM keys_apikey WHERE id = '{{second}}')"
    of_key = "(SELECT rowid FROM keys_apikey WHERE id = '{enabled}')"
    of_entry = "(SELECT rowid FROM keys_historyentry WHERE id = '{entry}')"
    of_merchant = "(SELECT rowid FROM keys_merchant WHERE id = '{merchant}')"
    inserts = [
        Attack(f"{verb} a key {what}", new_key(verb=verb, **given), REPLACED)
        for verb in verbs
        for what, given in {
            "of the same id": {"digest": "x'01'", "id": "id"},
            "of the same digest": {"digest": "digest"},
            "of the same name": {"digest": "x'01'", "name": "folded_name"},
            "of the same rowid": {"digest": "x'01'", "rowid": of_key},
        }.items()
    ]
    inserts += [
        Attack(f"{verb} a disabled key", new_key(verb=verb, digest="x'01'", status="'disabled'"), CREATION)
        for verb in verbs
    ]
    inserts += [
        Attack(f"REPLACE INTO {what}", copy_of(model, source, verb="REPLACE INTO", **given), REPLACED)
        for what, model, source, given in (
            ("a merchant account of the same id", Merchant, "{merchant}", {"id": "id"}),
            ("a merchant account of the same rowid", Merchant, "{merchant}", {"rowid": of_merchant}),
            ("a history row of the same id", HistoryEntry, "{entry}", NEXT | {"id": "id"}),
            ("a history row of the same rowid", HistoryEntry, "{entry}", NEXT | {"rowid": of_entry}),
        )
    ]
    updates = [
        Attack(f"UPDATE OR {clause} {what}", f"UPDATE OR {clause} {assignment}", complaint)
        for clause in ("REPLACE", "IGNORE", "FAIL", "ABORT")
        for what, assignment, complaint in (
            (
                "onto the id of another key",
                "keys_apikey SET id = '{second}' WHERE id = '{enabled}'",
                NEVER_CHANGE,
            ),
            (
                "onto the digest of another key",
                f"keys_apikey SET digest = {second.format('digest')} WHERE id = '{{enabled}}'",
                NEVER_CHANGE,
            ),
            (
                "onto the name of another key",
                f"keys_apikey SET folded_name = {second.format('folded_name')} WHERE id = '{{enabled}}'",
                NAME_TAKEN,
            ),
            ("onto a rowid", f"keys_apikey SET rowid = {of_key} WHERE id = '{{second}}'", NEVER_CHANGE),
            ("of a state", "keys_apikey SET status = 'disabled'", TRANSITION),
            ("of a state that is not text", "keys_apikey SET status = x'656e61626c6564'", TRANSITION),
            ("of a history row", "keys_historyentry SET reason = 'forged'", HISTORY_CHANGED),
        )
    ]
    return [
        *inserts,
        *updates,
        Attack("another rowid", "UPDATE keys_apikey SET _rowid_ = 4711 WHERE id = '{enabled}'", NEVER_CHANGE),
        Attack(
            "another rowid of a merchant account",
            "UPDATE keys_merchant SET oid = 4711 WHERE id = '{merchant}'",
            NEVER_CHANGE,
        ),
        # Afterwards each insert would look like a replacement of this row, or replace it.
        Attack("a key at rowid -1", new_key(digest="x'01'", rowid="-1"), "rowid of an API key is positive"),
        Attack(
            "a merchant account at rowid -1",
            copy_of(Merchant, "{merchant}", rowid="-1"),
            "rowid of a merchant account is positive",
        ),
        Attack(
            "REPLACE INTO a head",
            "REPLACE INTO keys_historyhead (chain, sequence, hash) VALUES ('{merchant}', 0, zeroblob(32))",
            REPLACED,
        ),
        Attack(
            "another rowid of a head",
            "UPDATE keys_historyhead SET _rowid_ = 4711, sequence = 9 WHERE chain = '{merchant}'",
            HEAD_FORWARD,
        ),
        Attack(
            "a head at rowid -1",
            f"INSERT INTO keys_historyhead (rowid, chain, sequence, hash) VALUES (-1, '{UUID}', 0, zeroblob(32))",
            "rowid of a head is positive",
        ),
        Attack(
            "a history row at rowid -1",
            copy_of(HistoryEntry, "{entry}", rowid="-1", **NEXT),
            "rowid of a history row is positive",
        ),
    ]


def statements_of_postgresql() -> list[Attack]:
    """TRUNCATE, MERGE, writing WITH queries, silent triggers and shadowed names: what only PostgreSQL has."""
    merge = (
        "MERGE INTO keys_apikey USING (SELECT 1) AS one ON keys_apikey.id = '{revoked}' WHEN MATCHED THEN "
    )
    return [
        Attack("TRUNCATE keys", "TRUNCATE keys_apikey CASCADE", KEY_DELETED),
        Attack("TRUNCATE merchant accounts", "TRUNCATE keys_merchant CASCADE", MERCHANT_DELETED),
        Attack("TRUNCATE the history", "TRUNCATE keys_historyentry", HISTORY_DELETED),
        Attack("TRUNCATE the heads", "TRUNCATE keys_historyhead", HEAD_DELETED),
        Attack("TRUNCATE people, and keys with them", "TRUNCATE keys_user CASCADE", "never deleted"),
        Attack(
            "TRUNCATE several tables at once",
            "TRUNCATE keys_historyentry, keys_apikey, keys_merchant, keys_merchantterm, keys_membership, "
            "keys_invitation RESTART IDENTITY",
            "never deleted",
        ),
        Attack("MERGE into another state", merge + "UPDATE SET status = 'enabled'", TRANSITION),
        Attack("MERGE with DELETE", merge + "DELETE", KEY_DELETED),
        Attack(
            "MERGE with DELETE of a merchant account",
            "MERGE INTO keys_merchant USING (SELECT 1) AS one ON keys_merchant.id = '{merchant}' "
            "WHEN MATCHED THEN DELETE",
            MERCHANT_DELETED,
        ),
        Attack(
            "DELETE inside a SELECT",
            "WITH gone AS (DELETE FROM keys_historyentry RETURNING 1) SELECT count(*) FROM gone",
            HISTORY_DELETED,
        ),
        Attack(
            "a session in which triggers are silent",
            "SET LOCAL session_replication_role = replica; UPDATE keys_apikey SET status = 'enabled'",
            TRANSITION,
        ),
        Attack(
            "a TRUNCATE in a session in which triggers are silent",
            "SET LOCAL session_replication_role = replica; TRUNCATE keys_historyentry",
            HISTORY_DELETED,
        ),
        Attack(
            "an operator by which all states are equal",
            "CREATE SCHEMA forged; "
            "CREATE FUNCTION forged.same(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true'; "
            "CREATE OPERATOR forged.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = forged.same); "
            "SET LOCAL search_path = forged, pg_catalog, public; "
            "UPDATE public.keys_apikey SET status = 'enabled' WHERE id = '{revoked}'",
            TRANSITION,
        ),
    ]
