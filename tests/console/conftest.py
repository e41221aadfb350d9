"""What tests of the console can ask for beyond tests/conftest.py."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.template import Template
from django.test import Client
from django.test.utils import _TestState

from keys.models import User
from tests.factories import PASSWORD


@pytest.fixture(scope="session", autouse=True)
def render_without_notes() -> Iterator[None]:
    """Django copies the context of every template that a test renders, each icon included; none is asked for here."""
    noting = Template._render
    Template._render = _TestState.saved_data.template_render
    yield
    Template._render = noting


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
