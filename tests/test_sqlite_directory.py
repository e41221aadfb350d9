"""Looking keys up on SQLite: no change by anybody goes unseen, and nothing is asked where nothing has changed."""

import gc
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from keys import lifecycle, merchants
from keys.gateway.directory import DirectoryUnavailable, Holder, Memory
from keys.gateway.sqlite import SqliteDirectory
from keys.keyformat import MalformedKey, Mode, PlaintextKey
from keys.models import ApiKey
from tests.changes import CHANGES, DISABLE, ENABLE
from tests.factories import ApiKeyFactory, use

pytestmark = pytest.mark.django_db(transaction=True)

ANOTHER_PROCESS = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=20)
database.execute(sys.argv[2])
database.commit()
"""
JOURNALS = ("wal", "delete")


def database() -> Path:
    return Path(connection.settings_dict["NAME"])


def execute(path: Path, sql: str) -> None:
    """Commit a change on a connection that is there for nothing else."""
    with closing(sqlite3.connect(path, timeout=20)) as other, other:
        other.execute(sql)


@pytest.fixture(params=JOURNALS)
def copy(request, api_key: ApiKey, tmp_path: Path) -> Path:
    """A database that nobody else has open, with `api_key` in it; in WAL mode, and in one that has no WAL-index."""
    path = tmp_path / "copy of it #1.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(path)])
    execute(path, f"PRAGMA journal_mode = {request.param}")
    return path


@pytest.fixture
def directory() -> SqliteDirectory:
    return SqliteDirectory(str(database()), cached_keys_max=1000)


@pytest.fixture
def of_copy(copy: Path) -> SqliteDirectory:
    return SqliteDirectory(str(copy), cached_keys_max=1000)


@pytest.fixture
def statements(monkeypatch) -> list[str]:
    """What directories that are made in this test ask of SQLite."""
    asked: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments, **options) -> sqlite3.Connection:
        made = connect(*arguments, **options)
        made.set_trace_callback(asked.append)
        return made

    monkeypatch.setattr(sqlite3, "connect", traced)
    return asked


def in_a_new_thread(work: Callable[[], object]) -> object:
    """What `work` returns, in a thread that has ended when this returns, and its connections with it."""
    with ThreadPoolExecutor(1) as threads:
        result = threads.submit(work).result(20)
    # A connection refers to itself: it is closed when somebody tidies up.
    gc.collect()
    return result


def status_of(directory: SqliteDirectory, key: ApiKey) -> str:
    return directory.find(key.secret.reveal()).facts.key_status


@pytest.mark.parametrize(("sql", "is_seen"), CHANGES.values(), ids=CHANGES)
def test_a_change_by_another_process_is_seen_at_once(directory, api_key, sql: str, is_seen) -> None:
    text = api_key.secret.reveal()
    before = directory.find(text)
    assert directory.find(text) is before
    assert not is_seen(before)
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(database()), sql]
    subprocess.run(command, check=True, timeout=20)
    assert is_seen(directory.find(text))


def test_each_step_of_the_life_cycle_is_seen_at_once(directory, api_key, actor) -> None:
    merchant = api_key.merchant

    def seen() -> tuple[str, str]:
        facts = directory.find(api_key.secret.reveal()).facts
        return facts.key_status, facts.merchant_status

    assert seen() == ("enabled", "enabled")
    lifecycle.disable(key=api_key, actor=actor)
    assert seen() == ("disabled", "enabled")
    lifecycle.enable(key=api_key, actor=actor)
    assert seen() == ("enabled", "enabled")
    merchants.disable(merchant=merchant, actor=actor)
    assert seen() == ("enabled", "disabled")
    lifecycle.disable(key=api_key, actor=actor)
    lifecycle.revoke(key=api_key, actor=actor)
    assert seen() == ("revoked", "disabled")
    merchants.enable(merchant=merchant, actor=actor)
    assert seen() == ("revoked", "enabled")


def test_a_new_key_is_found_though_it_was_looked_for_before(directory, api_key) -> None:
    secret = PlaintextKey.generate(Mode.LIVE)
    assert directory.find(secret.reveal()) is None
    columns = [field.column for field in ApiKey._meta.local_concrete_fields if not field.generated]
    values = {
        "id": "'77777777777777777777777777777777'",
        "digest": f"x'{secret.digest.hex()}'",
        "name": "'New'",
    }
    values |= {"folded_name": "'new'"}
    chosen = ", ".join(values.get(column, column) for column in columns)
    execute(database(), f"INSERT INTO keys_apikey ({', '.join(columns)}) SELECT {chosen} FROM keys_apikey")
    assert directory.find(secret.reveal()).key_name == "New"


def test_a_key_that_cannot_be_is_refused_without_a_query(directory, api_key, statements) -> None:
    text = api_key.secret.reveal()
    assert directory.find(text)
    statements.clear()
    with pytest.raises(MalformedKey):
        directory.find(text[:-1] + ("0" if text[-1] != "0" else "1"))
    assert not [sql for sql in statements if "keys_apikey" in sql]


def test_where_nothing_has_changed_nothing_is_asked(copy, api_key, statements) -> None:
    directory = SqliteDirectory(str(copy), cached_keys_max=1000)
    text = api_key.secret.reveal()
    directory.find(text)
    directory.find(text)
    statements.clear()
    for _ in range(10):
        directory.find(text)
    has_index = Path(f"{copy}-shm").exists()
    assert set(statements) == (set() if has_index else {"PRAGMA journal_mode", "PRAGMA data_version"})


def test_what_is_remembered_survives_that_requests_are_recorded(directory, api_key, statements) -> None:
    text = api_key.secret.reveal()
    before = directory.find(text)
    statements.clear()
    for _ in range(3):
        use(api_key, succeeded=2)
        assert directory.find(text) is before
    assert [sql for sql in statements if "keys_change" in sql]
    assert not [sql for sql in statements if "keys_apikey" in sql]


def test_a_change_does_not_make_other_keys_forgotten(directory, api_key) -> None:
    other = ApiKeyFactory()
    before = directory.find(other.secret.reveal())
    directory.find(api_key.secret.reveal())
    execute(database(), f"{DISABLE} WHERE id = '{api_key.pk.hex}'")
    assert status_of(directory, api_key) == "disabled"
    assert directory.find(other.secret.reveal()) is before


@pytest.mark.parametrize("somebody_else_has_heard", [False, True])
def test_a_change_between_reading_and_remembering_is_not_lost(
    of_copy, copy, api_key, monkeypatch, somebody_else_has_heard: bool
) -> None:
    """The reader is stopped with the old row in its hands; meanwhile the row changes, and others may have seen that."""
    bystander = PlaintextKey.generate(Mode.LIVE).reveal()
    in_a_new_thread(lambda: of_copy.find(bystander))
    remember = Memory.remember

    def remember_late(memory: Memory, digest: bytes, holder: Holder, generation: int) -> None:
        monkeypatch.setattr(Memory, "remember", remember)
        execute(copy, DISABLE)
        if somebody_else_has_heard:
            in_a_new_thread(lambda: of_copy.find(bystander))
        remember(memory, digest, holder, generation)

    monkeypatch.setattr(Memory, "remember", remember_late)
    assert status_of(of_copy, api_key) == "enabled"
    assert status_of(of_copy, api_key) == "disabled"
    assert in_a_new_thread(lambda: status_of(of_copy, api_key)) == "disabled"


def test_changes_are_seen_by_threads_that_come_and_go(of_copy, copy, api_key) -> None:
    """Each thread's connection ends with it, and its number may be that of the next one."""
    threads = set()

    def look() -> str:
        threads.add(threading.get_ident())
        return status_of(of_copy, api_key)

    for _ in range(3):
        for sql, status in ((DISABLE, "disabled"), (ENABLE, "enabled")):
            execute(copy, sql)
            assert in_a_new_thread(look) == status
    assert len(threads) < 6


def test_no_thread_ever_answers_with_what_was_true_before_its_question(of_copy, copy, api_key) -> None:
    text, last = api_key.secret.reveal(), 30
    published = [0]
    execute(copy, "UPDATE keys_apikey SET name = '0'")

    def watch() -> int:
        looks = 0
        while published[0] < last:
            known = published[0]
            assert int(of_copy.find(text).key_name) >= known
            looks += 1
        return looks

    with ThreadPoolExecutor(3) as threads:
        watching = [threads.submit(watch) for _ in range(3)]
        with closing(sqlite3.connect(copy, timeout=20, isolation_level=None)) as writer:
            for number in range(1, last + 1):
                writer.execute(f"UPDATE keys_apikey SET name = '{number}'")
                published[0] = number
        assert all(each.result(20) > 0 for each in watching)


def test_a_restored_backup_is_seen_and_so_is_what_changes_after_it(of_copy, copy, api_key, tmp_path) -> None:
    """The changes after it have numbers that changes before it had."""
    backup = tmp_path / "backup.sqlite3"
    with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    execute(copy, DISABLE)
    assert status_of(of_copy, api_key) == "disabled"
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    assert status_of(of_copy, api_key) == "enabled"
    execute(copy, DISABLE)
    assert status_of(of_copy, api_key) == "disabled"


def test_changes_that_are_pruned_are_not_missed(of_copy, copy, api_key) -> None:
    execute(copy, DISABLE)
    assert status_of(of_copy, api_key) == "disabled"
    with closing(sqlite3.connect(copy)) as other, other:
        other.execute("DELETE FROM keys_change")
        other.execute(ENABLE)
    assert status_of(of_copy, api_key) == "enabled"
    execute(copy, "DELETE FROM keys_change")
    assert status_of(of_copy, api_key) == "enabled"
    execute(copy, DISABLE)
    assert status_of(of_copy, api_key) == "disabled"


def test_a_database_that_is_locked_is_no_answer_until_it_is_not(copy, api_key, monkeypatch) -> None:
    monkeypatch.setattr("keys.gateway.sqlite.TIMEOUT_SECONDS", 0.01)
    execute(copy, "PRAGMA journal_mode = delete")
    directory = SqliteDirectory(str(copy), cached_keys_max=1000)
    with closing(sqlite3.connect(copy, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DirectoryUnavailable):
            directory.find(api_key.secret.reveal())
        other.execute("ROLLBACK")
        assert status_of(directory, api_key) == "enabled"
        # What is remembered by then is not used either: nobody can tell whether it has changed.
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DirectoryUnavailable):
            directory.find(api_key.secret.reveal())
        other.execute(DISABLE)
        other.execute("COMMIT")
    assert status_of(directory, api_key) == "disabled"


def test_a_database_that_is_not_there_is_no_answer_until_it_is(copy, api_key, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere.sqlite3"
    directory = SqliteDirectory(str(elsewhere), cached_keys_max=1000)
    with pytest.raises(DirectoryUnavailable):
        directory.find(api_key.secret.reveal())
    assert not elsewhere.exists()
    copy.rename(elsewhere)
    assert status_of(directory, api_key) == "enabled"


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_something_else(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 32)


def before_its_tables(path: Path) -> None:
    execute(path, "DROP TABLE keys_apikey")


@pytest.mark.parametrize("spoil", [empty, of_something_else, before_its_tables])
def test_a_file_that_is_no_database_of_ours_is_no_answer(copy, api_key, spoil) -> None:
    spoil(copy)
    directory = SqliteDirectory(str(copy), cached_keys_max=1000)
    for _ in range(2):
        with pytest.raises(DirectoryUnavailable):
            directory.find(api_key.secret.reveal())


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE keys_apikey SET expires_at = 'soon'",
        "UPDATE keys_apikey SET expires_at = ''",
        "UPDATE keys_apikey SET allowed_networks = ' '",
        "UPDATE keys_apikey SET allowed_networks = 'home'",
        "UPDATE keys_apikey SET allowed_networks = x'ff'",
        "UPDATE keys_apikey SET name = CAST(x'ff' AS text)",
    ],
)
def test_nonsense_written_by_hand_is_no_answer_until_it_is_mended(of_copy, copy, api_key, sql: str) -> None:
    assert status_of(of_copy, api_key) == "enabled"
    execute(copy, sql)
    for _ in range(2):
        with pytest.raises(DirectoryUnavailable):
            of_copy.find(api_key.secret.reveal())
    execute(copy, "UPDATE keys_apikey SET expires_at = NULL, allowed_networks = '', name = 'Mended'")
    assert of_copy.find(api_key.secret.reveal()).key_name == "Mended"


def test_it_goes_on_after_it_was_closed(of_copy, copy, api_key) -> None:
    """A process that stops still answers what comes."""
    assert status_of(of_copy, api_key) == "enabled"
    of_copy.close()
    execute(copy, DISABLE)
    assert status_of(of_copy, api_key) == "disabled"


def test_the_bound_of_its_memory_holds(tmp_path) -> None:
    keys = [ApiKeyFactory() for _ in range(5)]
    directory = SqliteDirectory(str(database()), cached_keys_max=3)
    for _ in range(2):
        for key in keys:
            assert directory.find(key.secret.reveal()).facts.key_id == key.pk
            assert directory.cached_keys <= 3
