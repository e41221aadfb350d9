"""What every test can ask for, and how the test databases are emptied."""

import gc
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer
from django.db import connection
from django.test import Client, TransactionTestCase
from hypothesis import settings as hypothesis_settings

from bench.installation import Installation
from bench.sizes import Size
from keys.history import Actor
from keys.models import ApiKey, Merchant, User
from tests import fuzzing
from tests.client import ProductClient, gateway_ahead_of
from tests.database import empty, fresh_groups
from tests.factories import ActorFactory, ApiKeyFactory, MerchantFactory, UserFactory
from tests.installation import bring_static_files
from tests.sessions import sign_in

# What only one of the databases has, or what has nothing to do with the one that is tested on.
ONLY = {
    "sqlite": ["test_bench_run.py", "test_sqlite_directory.py"],
    "postgresql": [
        "test_feed.py",
        "test_known.py",
        "test_lease.py",
        "test_link.py",
        "test_rotation_locks.py",
    ],
}
collect_ignore = [name for vendor, names in ONLY.items() if vendor != connection.vendor for name in names]

# For a thread that was told to stop.
PATIENCE_SECONDS = 5

# Two cores shared with a database say nothing about how long one example may take. The same commit gets the same
# examples, so that whoever breaks something is the one who is told; `make fuzz` goes looking for new ones.
hypothesis_settings.register_profile(
    "merchantadmin", deadline=None, max_examples=60, derandomize=not fuzzing.CASES
)
hypothesis_settings.load_profile("merchantadmin")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts processes takes longest: it comes first, that nobody has to wait for the last of them in the end.

    xdist has written the group of a test to where pytest before 9.2 kept its ID, and would not see it any more.
    """
    for item in items:
        if "_nodeid" in vars(item) and hasattr(item, "_id"):
            item._id = type(item._id).parse(item._nodeid)
    items.sort(key=lambda item: item.get_closest_marker("process") is None)


def pytest_collection_finish() -> None:
    """Nothing that is there by now is garbage: whoever tidies up from here on need not look at all of it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def emptying_past_the_guards() -> Iterator[None]:
    """Let `transaction=True` tests end by emptying the tables, which the guards forbid."""
    set_up = TransactionTestCase._fixture_setup.__func__

    def set_up_and_look(cls: type[TransactionTestCase]) -> None:
        set_up(cls)
        fresh_groups()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_setup", classmethod(set_up_and_look))
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: empty())
        yield


@pytest.fixture(scope="session", autouse=True)
def gateway_ahead_of_django() -> Iterator[None]:
    """Let `live_server` be the whole product, the gateway included."""
    set_app = ThreadedWSGIServer.set_app
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ThreadedWSGIServer, "set_app", lambda server, django: set_app(server, gateway_ahead_of(django))
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def thread_for_synchronous_code() -> None:
    """asgiref makes it for the first `async` test that needs it, and keeps it: no test is to blame for it."""
    SyncToAsync.single_thread_executor.submit(int).result()


@pytest.fixture(autouse=True)
def nothing_still_at_work(thread_for_synchronous_code: None) -> Iterator[None]:
    """Fail a test that leaves a thread behind: a verifier, say, goes on with the database of the next test."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(PATIENCE_SECONDS)
    assert not [thread for thread in left if thread.is_alive()]


@pytest.fixture
def client() -> ProductClient:
    """A client of the whole product, the gateway included."""
    return ProductClient()


@pytest.fixture
def operator(db: None) -> User:
    """A superuser, whose password is `tests.factories.PASSWORD`."""
    return UserFactory(operator=True)


@pytest.fixture
def actor(operator: User) -> Actor:
    """The operator, about to take a step."""
    return ActorFactory(user=operator)


@pytest.fixture
def console(client: Client, operator: User) -> Client:
    """A browser in which the operator has just signed in."""
    return sign_in(client, operator)


@pytest.fixture
def idle_console(client: Client, operator: User) -> Client:
    """A browser in which the operator signed in too long ago for what asks for proof."""
    return sign_in(client, operator, seconds_ago=settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + 1)


@pytest.fixture
def merchant(actor: Actor) -> Merchant:
    return MerchantFactory(actor=actor)


@pytest.fixture
def own_spool(settings: Any, tmp_path: Path) -> Path:
    """An empty spool: what other tests have left in the one of the run is not looked at."""
    settings.KEYS_SPOOL_DIR = tmp_path / "spool"
    settings.KEYS_SPOOL_DIR.mkdir(mode=0o700)
    return settings.KEYS_SPOOL_DIR


@pytest.fixture
def api_key(merchant: Merchant, actor: Actor) -> ApiKey:
    """An Enabled key; its plain text is in `api_key.secret`."""
    return ApiKeyFactory(merchant=merchant, actor=actor)


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Make the URL of a database that nobody has used."""
    server = os.environ.get("TEST_DATABASE_URL") if os.environ.get("TEST_DATABASE") == "postgresql" else None
    made = []

    def make() -> str:
        if server is None:
            return f"sqlite:///{tmp_path_factory.mktemp('database') / 'merchantadmin.sqlite3'}"
        made.append(f"serve_{secrets.token_hex(6)}")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {made[-1]}")
        return urlsplit(server)._replace(path=f"/{made[-1]}").geturl()

    yield make
    for name in made:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Installation:
    """The product with a few keys, on a database of its own: for tests that start its real processes."""
    installation = Installation.at(
        tmp_path_factory.mktemp("installed"),
        name="installed",
        database_url=new_database(),
        size=Size(20, 60, 0),
    )
    bring_static_files(installation.data_dir)
    installation.fill()
    return installation
