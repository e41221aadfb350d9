"""What is stored, and what the stored rows say of themselves."""

from datetime import timedelta
from ipaddress import ip_network

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from keys import lifecycle
from keys.identifiers import API_KEY, MERCHANT, decode
from keys.models import ApiKey, Merchant, UsageHour, UsageMinute
from keys.permissions import Access
from keys.states import ApiKeyStatus, MerchantStatus
from tests.factories import ApiKeyFactory, MerchantFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", ApiKeyStatus.values)
def test_a_key_is_in_one_state_and_its_properties_agree_with_the_database(state):
    key = ApiKeyFactory(state=state)
    for other in ApiKeyStatus.values:
        expected = other == state
        assert getattr(key, f"is_{other}") == expected
        assert ApiKey.objects.filter(status=other, pk=key.pk).exists() == expected
    assert key.can_be_copied == ApiKey.objects.filter(pk=key.pk, secret_ciphertext__isnull=False).exists()
    assert ApiKeyStatus(state).meaning.startswith("Requests with this key are ")


def test_the_grid_is_in_the_order_of_states_and_then_newest_first(merchant):
    now = timezone.now()
    keys = [
        ApiKeyFactory(merchant=merchant, state=state, created_at=now - timedelta(days=days))
        for days, state in enumerate(["revoked", "enabled", "disabled", "enabled", "revoked", "disabled"], 1)
    ]
    on_the_grid = merchant.api_keys.order_by("-status_rank", "-created_at", "-id")
    order = list(ApiKeyStatus.values)
    assert list(on_the_grid) == sorted(
        keys, key=lambda key: (order.index(key.status), -key.created_at.timestamp())
    )
    assert [key.status for key in on_the_grid] == [state for state in order for _ in range(2)]


def test_the_rank_follows_the_state(api_key, actor):
    ranks = [api_key.status_rank]
    for step in (lifecycle.disable, lifecycle.revoke):
        step(key=api_key, actor=actor)
        api_key.refresh_from_db()
        ranks.append(api_key.status_rank)
    assert ranks == [3, 2, 1]


def test_a_key_expires_at_its_moment_and_not_before():
    now = timezone.now()
    key = ApiKeyFactory(expires_at=now + timedelta(hours=1))
    for moment, expired in ((timedelta(minutes=59, seconds=59), False), (timedelta(hours=1), True)):
        with time_machine.travel(now + moment, tick=False):
            assert key.is_expired == expired
    assert not ApiKeyFactory().is_expired


def test_a_key_is_shown_by_its_mask_and_its_id(api_key):
    text = api_key.secret.reveal()
    assert api_key.masked == f"{text[:12]}••••••{text[-4:]}" == api_key.secret.masked
    assert decode(API_KEY, api_key.public_id) == api_key.pk
    assert api_key.get_absolute_url() == f"/keys/{api_key.public_id}/"
    assert str(api_key) == api_key.name
    assert text not in repr(api_key.__dict__ | {"secret": None})


def test_the_permissions_and_networks_of_a_key_are_what_was_given():
    key = ApiKeyFactory(permissions={"payments": "write", "reports": "read", "payouts": "none"})
    assert dict(key.grants) == {"payments": Access.WRITE, "reports": Access.READ}
    assert key.networks == ()
    key = ApiKeyFactory(allowed_networks=["203.0.113.0/24", "2001:db8::/32"])
    assert key.networks == (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))


def test_a_key_may_have_no_permission_at_all():
    assert dict(ApiKeyFactory(permissions={}).grants) == {}


def test_an_account_is_shown_by_its_name_and_its_id(merchant):
    assert decode(MERCHANT, merchant.public_id) == merchant.pk
    assert merchant.get_absolute_url() == f"/merchants/{merchant.public_id}/"
    assert str(merchant) == merchant.name
    assert merchant.is_enabled
    assert not MerchantFactory(disabled=True).is_enabled
    assert MerchantStatus.DISABLED.meaning.endswith("refused with 401.")
    assert MerchantStatus.ENABLED.meaning.endswith("answered.")


def key_of(merchant: Merchant, **values) -> ApiKey:
    return ApiKey(
        **{"merchant": merchant, "name": "x", "folded_name": "x", "mode": "live", "digest": b"x"} | values
    )


@pytest.mark.parametrize(
    "values",
    [{"name": ""}, {"mode": "beta"}, {"mode": ""}, {"status": "archived"}, {"status": ""}],
    ids=str,
)
def test_the_database_itself_refuses_a_key_that_is_none(merchant, values):
    with pytest.raises(IntegrityError), transaction.atomic():
        key_of(merchant, **values).save(force_insert=True)


@pytest.mark.parametrize("values", [{"name": ""}, {"status": "revoked"}, {"status": ""}], ids=str)
def test_the_database_itself_refuses_an_account_that_is_none(values):
    with pytest.raises(IntegrityError), transaction.atomic():
        Merchant(**{"name": "x", "sort_name": "x"} | values).save(force_insert=True)


def test_a_digest_is_stored_once(api_key):
    with pytest.raises(IntegrityError), transaction.atomic():
        key_of(MerchantFactory(), digest=api_key.secret.digest).save(force_insert=True)


@pytest.mark.parametrize("model", [UsageMinute, UsageHour])
def test_a_span_of_time_has_one_row_for_a_subject(api_key, model):
    span = {"subject_id": api_key.pk, "at": timezone.now()}
    model.objects.create(**span, succeeded=3, failed=1)
    assert str(model.objects.get()).endswith(" 3+1")
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.create(**span)


@pytest.mark.parametrize(
    ("first", "last", "name", "initials"),
    [
        ("Ada", "Lovelace", "Ada Lovelace", "AL"),
        ("Ada", "", "Ada", "A"),
        ("", "", "ada", "A"),
        ("Ada Augusta", "King-Noel", "Ada Augusta King-Noel", "AK"),
        ("Ærø", "øst", "Ærø øst", "ÆØ"),
    ],
)
def test_a_person_is_shown_by_their_name_or_their_user_name(first, last, name, initials):
    person = UserFactory.build(username="ada", first_name=first, last_name=last)
    assert (person.display_name, str(person), person.initials) == (name, name, initials)
