"""What tests of the console can ask for beyond tests/conftest.py."""

import pytest
from django.core.cache import cache
from django.test import Client

from keys.models import User
from tests.factories import PASSWORD


@pytest.fixture(autouse=True)
def forget_sign_in_attempts() -> None:
    """The rate limits of the sign-in count in the cache, which outlives a test."""
    cache.clear()


@pytest.fixture
def signed_in(client: Client, operator: User) -> Client:
    """A browser in which the operator has typed the password just now, so that keys can be copied."""
    response = client.post("/accounts/login/", {"login": operator.username, "password": PASSWORD})
    assert response.status_code == 302, response.content.decode()
    return client
