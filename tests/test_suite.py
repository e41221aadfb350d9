"""The test run itself: each test meets a guarded, empty database, whatever ran before."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from keys import guards
from keys.models import Merchant
from tests.database import FURNITURE, GROUPS, filled, fresh_groups, groups


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_test_that_commits_leaves_an_empty_and_guarded_database(turn: str) -> None:
    assert guards.installed(connection) == guards.expected(connection)
    assert filled() == FURNITURE | GROUPS
    assert groups() == fresh_groups()
    Merchant.objects.create(name=turn, sort_name=turn)
    Group.objects.first().permissions.clear()
    Group.objects.create(name=turn)
    guards.remove(connection)
