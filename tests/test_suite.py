"""The test run itself: each test meets a guarded, empty database, whatever ran before."""

import pytest
from django.db import connection

from keys import guards
from keys.models import Merchant


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_test_that_commits_leaves_an_empty_and_guarded_database(turn: str) -> None:
    assert guards.installed(connection) == guards.expected(connection)
    assert not Merchant.objects.exists()
    Merchant.objects.create(name=turn, sort_name=turn)
