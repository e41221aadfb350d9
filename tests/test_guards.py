"""The database itself refuses what breaks a rule, whoever asks: raw SQL, the ORM, another program."""

import sqlite3
from contextlib import closing, nullcontext

import pytest
from django.core.management.sql import emit_post_migrate_signal
from django.db import IntegrityError, connection, models, transaction
from django.db.models import ProtectedError

from keys import guards, history, lifecycle, merchants
from keys.history import Actor
from keys.models import ApiKey, HistoryEntry, HistoryHead, Merchant, User
from keys.states import KEY_TRANSITIONS, ApiKeyStatus
from tests import attacks
from tests.factories import ApiKeyFactory, UserFactory, use

GUARDED = (ApiKey, Merchant, HistoryEntry, HistoryHead)
VENDOR = connection.vendor
LEGAL = {(each.source.value, each.target.value) for each in KEY_TRANSITIONS}
IMMUTABLE = {
    "id": "'01234567890000000000000000000000'",
    "merchant_id": "'{empty}'",
    "mode": "'test'",
    "permissions": "'payments:read'",
    "digest": {"sqlite": "x'01'", "postgresql": r"'\x01'"}[VENDOR],
    "head": "'0000'",
    "tail": "'0000'",
    "duplicated_from_id": "'{second}'",
    "created_by_id": "{user}",
    "created_at": "'2001-01-01 00:00:00+00'",
}
# What may change until the key is revoked.
MUTABLE = {
    "name": "'changed'",
    "folded_name": "'changed'",
    "description": "'changed'",
    "secret_ciphertext": "NULL",
    "expires_at": "'2101-01-01 00:00:00+00'",
    "allowed_networks": "'203.0.113.0/24'",
    "revision": "revision + 1",
}


@pytest.fixture
def scene(db) -> dict[str, str]:
    """The rows that the attacks aim at, by the names that their SQL uses, made in few statements."""
    user, stranger = User.objects.bulk_create(UserFactory.build_batch(2))
    actor = Actor(name="Somebody", user=user)
    merchant, empty = Merchant.objects.bulk_create(
        [merchants.compose(name=name, actor=actor) for name in ("Full", "Empty")]
    )
    keys = {
        name: lifecycle.compose(
            merchant=merchant, name=name, mode="live", permissions={"payments": "write"}, actor=actor
        )[0]
        for name in (*ApiKeyStatus.values, "second")
    }
    ApiKey.objects.bulk_create(keys.values())
    ApiKey.objects.filter(name__in=["disabled", "revoked"]).update(status="disabled")
    ApiKey.objects.filter(name="revoked").update(status="revoked", secret_ciphertext=None)
    (entry,) = lifecycle.compose_creation(key=keys["enabled"], actor=actor)
    with transaction.atomic():
        history.append([entry, merchants.compose_creation(merchant=empty, actor=actor)])
    # PostgreSQL empties or alters no table whose foreign keys are still to be checked.
    connection.check_constraints()
    targets = keys | {"merchant": merchant, "empty": empty, "entry": entry}
    return {name: row.pk.hex for name, row in targets.items()} | {"user": str(stranger.pk)}


def rows() -> dict[str, list[tuple]]:
    """All that is stored in the guarded tables."""
    everything = "rowid, *" if VENDOR == "sqlite" else "*"
    with connection.cursor() as cursor:
        found = {}
        for model in GUARDED:
            cursor.execute(
                f"SELECT {everything} FROM {model._meta.db_table} ORDER BY {model._meta.pk.column}"
            )
            found[model._meta.db_table] = [tuple(map(str, row)) for row in cursor.fetchall()]
        return found


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def refuse(sql: str, complaint: str) -> None:
    """Execute `sql`; it must be refused with `complaint` and leave every row as it was.

    On SQLite without a savepoint, whose rolling back could hide what the statement has done.
    """
    before = rows()
    with (
        pytest.raises(IntegrityError, match=complaint),
        nullcontext() if VENDOR == "sqlite" else transaction.atomic(),
    ):
        execute(sql)
    assert rows() == before


ATTACKS = attacks.statements(VENDOR) + (
    attacks.statements_of_sqlite() if VENDOR == "sqlite" else attacks.statements_of_postgresql()
)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_is_refused_and_changes_nothing(scene, attack):
    refuse(attack.sql.format(**scene), attack.complaint)


@pytest.mark.parametrize("source", ApiKeyStatus.values)
@pytest.mark.parametrize("target", [*ApiKeyStatus.values, "archived", "", "ENABLED", None])
def test_a_key_makes_the_legal_moves_and_no_other(scene, source, target):
    value = "NULL" if target is None else f"'{target}'"
    ciphertext = ", secret_ciphertext = NULL" if target == "revoked" else ""
    move = f"UPDATE keys_apikey SET status = {value}{ciphertext} WHERE id = '{scene[source]}'"
    if (source, target) in LEGAL or source == target:
        execute(move)
        assert ApiKey.objects.get(pk=scene[source]).status == target
    else:
        refuse(move, attacks.TRANSITION)


def test_each_column_is_known_to_change_or_not():
    assert set(attacks.columns(ApiKey)) == {*IMMUTABLE, *MUTABLE, "status"}


@pytest.mark.parametrize("state", ApiKeyStatus.values)
@pytest.mark.parametrize("column", IMMUTABLE)
def test_an_immutable_column_of_a_key_never_changes(scene, column, state):
    values = {IMMUTABLE[column]} | ({"NULL"} if column != "duplicated_from_id" else set())
    for value in sorted(values):
        sql = f"UPDATE keys_apikey SET {column} = {value} WHERE id = '{scene[state]}'"
        refuse(sql.format(**scene), attacks.NEVER_CHANGE)


@pytest.mark.parametrize("column", MUTABLE)
def test_a_mutable_column_changes_until_the_key_is_revoked(scene, column):
    for state in ("enabled", "disabled"):
        execute(f"UPDATE keys_apikey SET {column} = {MUTABLE[column]} WHERE id = '{scene[state]}'")
        # The next key may want the same name.
        execute(f"UPDATE keys_apikey SET folded_name = '{state}' WHERE id = '{scene[state]}'")
    value = "'x'" if column == "secret_ciphertext" else MUTABLE[column]
    refuse(f"UPDATE keys_apikey SET {column} = {value} WHERE id = '{scene['revoked']}'", attacks.REVOKED)


@pytest.mark.parametrize("column", attacks.columns(HistoryEntry))
def test_no_column_of_the_history_ever_changes(scene, column):
    refuse(f"UPDATE keys_historyentry SET {column} = {column}", attacks.HISTORY_CHANGED)


def test_a_name_is_used_once_and_again_after_its_key_is_revoked(scene):
    taken = "(SELECT folded_name FROM keys_apikey WHERE id = '{second}')"
    rename = f"UPDATE keys_apikey SET folded_name = {taken} WHERE id = '{{enabled}}'".format(**scene)
    refuse(rename, "apikey_name_once_in_use|has this name")
    for status in ("'disabled'", "'revoked', secret_ciphertext = NULL"):
        execute(f"UPDATE keys_apikey SET status = {status} WHERE id = '{scene['second']}'")
    execute(rename)


def test_a_merchant_account_is_renamed_and_disabled(scene):
    for assignment in ("name = 'x', sort_name = 'x'", "status = 'disabled'", "revision = 7"):
        execute(f"UPDATE keys_merchant SET {assignment} WHERE id = '{scene['merchant']}'")


def test_a_merchant_account_without_keys_is_kept_for_its_history(scene):
    refuse(f"DELETE FROM keys_merchant WHERE id = '{scene['empty']}'", attacks.MERCHANT_DELETED)


def _save(queryset, **values):
    row = queryset.first()
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


def _bulk_update(queryset, **values):
    row = queryset.first()
    for name, value in values.items():
        setattr(row, name, value)
    queryset.bulk_update([row], list(values))


ORM_ATTACKS = {
    "update to revoked": lambda: ApiKey.objects.filter(status="enabled").update(
        status="revoked", secret_ciphertext=None
    ),
    "update to enabled": lambda: ApiKey.objects.filter(status="revoked").update(status="enabled"),
    "update permissions": lambda: ApiKey.objects.update(permissions="payouts:write"),
    "update the ciphertext of a revoked key": lambda: ApiKey.objects.filter(status="revoked").update(
        secret_ciphertext="x"
    ),
    "save another state": lambda: _save(ApiKey.objects.filter(status="revoked"), status="disabled"),
    "save another mode": lambda: _save(ApiKey.objects.filter(status="enabled"), mode="test"),
    "bulk_update a state": lambda: _bulk_update(ApiKey.objects.filter(status="revoked"), status="enabled"),
    "bulk_update the digest": lambda: _bulk_update(ApiKey.objects.all(), digest=b"x"),
    "create a revoked key": lambda: ApiKey.objects.create(
        merchant=Merchant.objects.first(),
        name="x",
        folded_name="x",
        mode="live",
        digest=b"x",
        status="revoked",
    ),
    "bulk_create a disabled key": lambda: ApiKey.objects.bulk_create(
        [
            ApiKey(
                merchant=Merchant.objects.first(),
                name="x",
                folded_name="x",
                mode="live",
                digest=b"x",
                status="disabled",
            )
        ]
    ),
    "upsert permissions": lambda: ApiKey.objects.bulk_create(
        [
            ApiKey(**{**values, "permissions": "payouts:write"})
            for values in ApiKey.objects.filter(status="enabled").values(*attacks.columns(ApiKey))
        ],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["permissions"],
    ),
    "delete all keys": lambda: ApiKey.objects.all().delete(),
    "delete one key": lambda: ApiKey.objects.filter(status="enabled").first().delete(),
    "delete keys past the ORM's own checks": lambda: ApiKey.objects.all()._raw_delete("default"),
    "delete a merchant account": lambda: Merchant.objects.filter(api_keys__isnull=False).first().delete(),
    "delete merchant accounts past the ORM's own checks": lambda: Merchant.objects.all()._raw_delete(
        "default"
    ),
    "update history": lambda: HistoryEntry.objects.update(actor_name="Nobody"),
    "save history": lambda: _save(HistoryEntry.objects.all(), reason="forged"),
    "delete history": lambda: HistoryEntry.objects.all().delete(),
    "raw": lambda: list(ApiKey.objects.raw("UPDATE keys_apikey SET permissions = '' RETURNING *")),
}


@pytest.mark.parametrize("attack", ORM_ATTACKS.values(), ids=ORM_ATTACKS)
def test_the_orm_cannot_break_a_rule_either(scene, attack):
    before = rows()
    with pytest.raises((IntegrityError, ProtectedError)), transaction.atomic():
        attack()
    assert rows() == before


@pytest.mark.parametrize("state", ApiKeyStatus.values)
def test_recording_use_touches_no_guard(scene, state):
    key = ApiKey.objects.get(pk=scene[state])
    use(key, failed=1, outcome="REVOKED", status=401)
    key.refresh_from_db()
    assert key.last_used_at is not None


def test_the_guards_stand_after_migrate(db):
    assert guards.installed(connection) == guards.expected(connection)
    assert len(guards.expected(connection)) > 8


def test_guards_can_be_installed_twice_removed_and_installed_again(scene):
    guards.install(connection)
    guards.install(connection)
    assert guards.installed(connection) == guards.expected(connection)
    guards.remove(connection)
    assert guards.installed(connection) == frozenset()
    with transaction.atomic():
        execute("UPDATE keys_apikey SET permissions = ''")
        transaction.set_rollback(True)
    guards.install(connection)
    assert guards.installed(connection) == guards.expected(connection)
    refuse("UPDATE keys_apikey SET permissions = ''", attacks.NEVER_CHANGE)


def test_a_guard_that_no_longer_belongs_is_dropped(scene):
    body = {
        "sqlite": "BEGIN SELECT RAISE(ABORT, 'outdated'); END",
        "postgresql": "FOR EACH ROW EXECUTE FUNCTION keys_refuse('outdated')",
    }[VENDOR]
    execute(f"CREATE TRIGGER guard_apikey_outdated BEFORE UPDATE ON keys_apikey {body}")
    refuse("UPDATE keys_apikey SET name = name", "outdated")
    guards.install(connection)
    execute("UPDATE keys_apikey SET name = name")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", GUARDED)
def test_the_guards_stand_again_after_a_migration_that_remakes_a_table(model):
    """On SQLite a changed column means a new table, without the old one's triggers."""
    name, new = {
        ApiKey: ("name", models.CharField(max_length=81)),
        Merchant: ("name", models.CharField(max_length=121)),
        HistoryEntry: ("action", models.CharField(max_length=25)),
        HistoryHead: ("sequence", models.PositiveBigIntegerField(null=True)),
    }[model]
    old = model._meta.get_field(name)
    new.set_attributes_from_name(name)
    new.model = model
    with connection.schema_editor() as editor:
        editor.alter_field(model, old, new)
    try:
        if VENDOR == "sqlite":
            assert guards.installed(connection) < guards.expected(connection)
        emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
        assert guards.installed(connection) == guards.expected(connection)
        ApiKeyFactory()
        refuse("DELETE FROM keys_historyentry", attacks.HISTORY_DELETED)
        refuse("DELETE FROM keys_merchant", attacks.MERCHANT_DELETED)
        refuse("UPDATE keys_apikey SET permissions = ''", attacks.NEVER_CHANGE)
    finally:
        with connection.schema_editor() as editor:
            editor.alter_field(model, new, old)
        emit_post_migrate_signal(verbosity=0, interactive=False, db="default")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("column", ["mode", "permissions", "secret_ciphertext", "name"])
def test_a_guarded_column_can_change_its_type_in_a_migration(column):
    old = ApiKey._meta.get_field(column)
    new = models.CharField(max_length=300, null=old.null)
    new.set_attributes_from_name(column)
    new.model = ApiKey
    for source, target in ((old, new), (new, old)):
        with connection.schema_editor() as editor:
            editor.alter_field(ApiKey, source, target)
        emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
    assert guards.installed(connection) == guards.expected(connection)


if VENDOR == "sqlite":

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(
        "pragma",
        ["foreign_keys=OFF", "recursive_triggers=ON", "ignore_check_constraints=ON", "legacy_alter_table=ON"],
    )
    def test_sqlite_keeps_the_rules_in_a_connection_of_another_program(scene, pragma):
        before = rows()
        with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as stranger:
            stranger.execute(f"PRAGMA {pragma}")
            for attack in ATTACKS:
                with pytest.raises(sqlite3.IntegrityError, match=attack.complaint):
                    stranger.execute(attack.sql.format(**scene))
                assert rows() == before, attack.name

else:

    def test_postgresql_counts_a_disabled_trigger_as_missing_and_puts_it_back(scene):
        execute("ALTER TABLE keys_historyentry DISABLE TRIGGER guard_history_delete")
        assert guards.expected(connection) - guards.installed(connection) == {"guard_history_delete"}
        guards.install(connection)
        refuse("DELETE FROM keys_historyentry", attacks.HISTORY_DELETED)

    def test_postgresql_names_the_table_and_the_kind_of_error(scene):
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            execute("UPDATE keys_apikey SET permissions = ''")
        assert refused.value.__cause__.sqlstate == "23514"
        assert refused.value.__cause__.diag.table_name == "keys_apikey"
