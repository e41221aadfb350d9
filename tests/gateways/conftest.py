"""The product, an API behind it, and each server in front of both.

This process works on the same data directory as the product, so tests/factories.py puts keys in place, and the domain
functions change them, as another process of the platform would.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from keys.models import ApiKey
from tests.factories import ApiKeyFactory
from tests.gateways.api import Api, serving_api
from tests.gateways.product import Product
from tests.gateways.servers import SERVERS, Running, running


# xdist reads the marks at this moment too, and has to come later.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each server is started on one worker; the outages, which take as long as several of them, have a turn apart."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.xdist_group(turn_of(item)))


def turn_of(item: pytest.Item) -> str:
    if item.path.name == "test_outages.py":
        return "outages"
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return next((value for value in parameters if isinstance(value, str) and value in SERVERS), "none")


@pytest.fixture(autouse=True)
def nothing_still_at_work() -> None:
    """The API and the proxy outlive a test here, and so do the connections between them, each with its thread."""


@pytest.fixture(scope="session")
def verifier(django_db_blocker: Any) -> Iterator[Product]:
    """The product, with one trusted proxy in front. From here on this process may use its database."""
    if os.environ.get("TEST_DATABASE", "sqlite") != "sqlite":
        pytest.exit("The gateway tests run on SQLite: `make test-gateways`.", returncode=1)
    product = Product(settings.DATA_DIR)
    try:
        product.begin()
        with django_db_blocker.unblock():
            yield product
            connections.close_all()
        product.end()
    finally:
        product.clean_up()


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    with serving_api() as api:
        yield api


@pytest.fixture(scope="session", params=SERVERS)
def server(
    request: pytest.FixtureRequest, verifier: Product, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Each server in turn, in front of the product and the API."""
    place = tmp_path_factory.mktemp(request.param)
    with running(SERVERS[request.param], place, verifier=verifier.port, api=api.port) as server:
        yield server


@pytest.fixture
def key(verifier: Product) -> ApiKey:
    """An Enabled key that may write payments and read refunds; its plain text is in `key.secret`."""
    return ApiKeyFactory()
