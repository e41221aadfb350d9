"""What there is to look at: one scene for all pages, filled with the hardest content that they must bear."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from keys import identifiers
from keys.console.views.grid import PAGE_SIZE
from keys.models import (
    ApiKey,
    Invitation,
    Membership,
    Merchant,
    RequestLog,
    UsageHour,
    User,
)
from keys.spool import Record
from tests.factories import (
    ApiKeyFactory,
    InvitationFactory,
    MerchantFactory,
    UserFactory,
    use,
)

# 80 characters without a place to break, right-to-left text, and emoji that are several code points each.
UNBREAKABLE = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
RIGHT_TO_LEFT = "متجر الإلكترونيات المركزي لبيع الهواتف وأجهزة الحاسوب بالجملة والتجزئة"
EMOJI = "👩‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿" * 5
LONGEST_ADDRESS = "2001:db8:1111:2222:3333:4444:5555:6666"
# Of letters and digits alone, as an address has to be.
LONGEST_EMAIL = f"{{}}.{UNBREAKABLE[:31] * 2}"[:62] + f"@{UNBREAKABLE[:31]}.{UNBREAKABLE[:31]}.example"
assert len(UNBREAKABLE) == 80


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to look at."""

    merchant: Merchant
    empty: Merchant
    chain: Merchant  # With one key more than a page of the grid holds.
    disabled_merchant: Merchant
    enabled: ApiKey
    disabled: ApiKey
    revoked: ApiKey
    expired: ApiKey
    request_address: str
    broken_request_address: str
    member: Membership
    owner: User
    invitation: Invitation


def set_scene() -> Scene:
    merchant = MerchantFactory(name=UNBREAKABLE, website=f"{UNBREAKABLE.lower()}.example/{UNBREAKABLE}")
    enabled = ApiKeyFactory(
        merchant=merchant,
        name=UNBREAKABLE,
        description=f"{UNBREAKABLE} {RIGHT_TO_LEFT} {EMOJI}",
        permissions={"payments": "write", "refunds": "read"},
        allowed_networks=["203.0.113.0/24", "2001:db8:1111:2222:3333:4444:5555:0/112"],
        expires_at=timezone.now() + timedelta(days=30),
    )
    disabled = ApiKeyFactory(
        merchant=merchant, name=RIGHT_TO_LEFT, disabled=True, duplicated_from=enabled, test_mode=True
    )
    revoked = ApiKeyFactory(merchant=merchant, name=EMOJI, description=RIGHT_TO_LEFT, revoked=True)
    expired = ApiKeyFactory(merchant=merchant, name="<b>Bold</b> & “quoted”", expired=True)
    disabled_merchant = MerchantFactory(name=RIGHT_TO_LEFT, website="متجر.example", disabled=True)
    ApiKeyFactory(merchant=disabled_merchant, name="Waiting")
    chain = MerchantFactory()
    for number in range(PAGE_SIZE + 1):
        ApiKeyFactory(merchant=chain, name=f"Till {number}")
    request, *_ = make_traffic(enabled)
    use(disabled, succeeded=1)
    # No page of the console makes a server error; a row that the product would not write does.
    broken, *_ = use(expired, failed=1)
    RequestLog.objects.filter(pk=broken.id).update(outcome="NONSENSE")
    return Scene(
        merchant=merchant,
        empty=MerchantFactory(name=EMOJI),
        chain=chain,
        disabled_merchant=disabled_merchant,
        enabled=enabled,
        disabled=disabled,
        revoked=revoked,
        expired=expired,
        request_address=f"/requests/{identifiers.encode(identifiers.REQUEST, request.id)}/",
        broken_request_address=f"/requests/{identifiers.encode(identifiers.REQUEST, broken.id)}/",
        **set_team(merchant),
    )


def set_team(merchant: Merchant) -> dict[str, Any]:
    """People with the longest names and addresses there can be, one of them deactivated, and waiting invitations."""
    long = {"first_name": UNBREAKABLE, "last_name": RIGHT_TO_LEFT[:60]}
    owner = UserFactory(**long, email=LONGEST_EMAIL.format("owner"), team=(merchant, "owner"))
    member = UserFactory(username=UNBREAKABLE, is_active=False, team=(merchant, "viewer"), role="viewer")
    for email in (LONGEST_EMAIL.format("late"), "grace@navy.example"):
        InvitationFactory(email=email, created_at=timezone.now() - timedelta(days=8))
    invitation = InvitationFactory(merchant=merchant, email=LONGEST_EMAIL.format("invited"))
    return {"member": member.memberships.get(), "owner": owner, "invitation": invitation}


def make_traffic(key: ApiKey) -> list[Record]:
    """A busy day with failures of several causes, and figures of eight digits; returns the requests of one path."""
    now = timezone.now()
    for hours in range(1, 24, 2):
        use(key, succeeded=hours, failed=hours % 5, at=now - timedelta(hours=hours))
    use(key, failed=2, status=403, outcome="PERMISSION_DENIED")
    whole_hour = (now - timedelta(hours=4)).replace(minute=0, second=0, microsecond=0)
    for subject in (key.pk, key.merchant_id):
        UsageHour.objects.filter(subject_id=subject, at=whole_hour).delete()
        UsageHour.objects.create(
            subject_id=subject,
            at=whole_hour,
            succeeded=98_765_432,
            failed=12_345_678,
            server_error=12_345_678,
        )
    return use(key, failed=1, path=f"/v1/payments/{UNBREAKABLE}", status=503, address=LONGEST_ADDRESS)
