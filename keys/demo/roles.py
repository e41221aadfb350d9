"""What merchants have keys for: the names, words, permissions and habits of typical integrations."""

from collections.abc import Mapping
from dataclasses import dataclass

from keys.demo.rhythms import Rhythm
from keys.permissions import Access, Grants, catalogue


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of integration. `weight` is its share of a merchant's requests, against Checkout backend's 1."""

    # What people call it; the first is the usual name.
    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    permissions: str
    rhythm: Rhythm = Rhythm.SHOP
    weight: float = 1.0
    mode: str = "live"
    # Works through a queue now and then rather than answering people all the time.
    in_batches: bool = False

    @property
    def grants(self) -> Grants:
        return known(Grants.parse(self.permissions))


def known(grants: Mapping[str, str]) -> Grants:
    """What of `grants` the catalogue in use offers: an installation may have one of its own."""
    resources = catalogue().resources
    return Grants(
        {
            name: access
            for name, access in grants.items()
            if name in resources and Access(access) in resources[name].accesses
        }
    )


EVERYTHING_READ = (
    "payments:read refunds:read payouts:read customers:read subscriptions:read disputes:read balances:read "
    "webhooks:read reports:read"
)
SANDBOX = "payments:write refunds:write customers:write subscriptions:write webhooks:write disputes:write"

CHECKOUT = Role(
    ("Checkout backend", "Web shop", "Website payments", "shop-backend-prod", "Production"),
    (
        "Server-to-server payments from the web shop",
        "Takes payments on the website. Owned by the checkout team",
        "",
        "Production checkout. Page the on-call developer before you touch this one",
    ),
    "payments:write refunds:write customers:write",
)
APP = Role(
    ("Mobile app server", "App backend", "iOS and Android", "api-mobile"),
    ("Backend of the iOS and Android apps", "App payments and saved cards", ""),
    "payments:write customers:write subscriptions:read",
    weight=0.7,
)
TILLS = Role(
    ("Point of sale", "Tills", "Card terminals", "POS gateway"),
    ("Tills in the shops, through the gateway in the back office", "Card terminals, all branches"),
    "payments:write refunds:write",
    Rhythm.OFFICE,
    weight=0.6,
)
REFUNDS = Role(
    ("Refunds desk", "Customer service", "Help desk refunds"),
    (
        "Customer service gives money back from the help desk",
        "Support tool. Refunds up to 500, by the team only",
    ),
    "payments:read refunds:write customers:read",
    Rhythm.OFFICE,
    weight=0.08,
)
REPORTING = Role(
    ("Reporting", "Data warehouse", "BI (read only)", "Dashboards"),
    ("Read-only, finance data warehouse", "Daily figures for the board. Changes nothing", ""),
    EVERYTHING_READ,
    Rhythm.STEADY,
    weight=0.12,
    in_batches=True,
)
PAYOUTS = Role(
    ("Payouts worker", "Settlement", "Seller payouts"),
    ("Nightly settlement to sellers", "Weekly payouts, every Monday before six"),
    "payouts:write balances:read",
    Rhythm.NIGHT,
    weight=0.2,
    in_batches=True,
)
SUBSCRIPTIONS = Role(
    ("Subscriptions", "Memberships", "Recurring billing", "Renewals"),
    ("Renewals, upgrades and dunning", "Monthly memberships", ""),
    "payments:write customers:write subscriptions:write",
    Rhythm.NIGHT,
    weight=0.35,
    in_batches=True,
)
ERP = Role(
    ("ERP sync", "SAP export", "Odoo", "Ledger export"),
    ("Hourly export to the books. Ask accounting before changing", "Every 15 minutes, one way only"),
    "payments:read refunds:read payouts:read balances:read reports:write",
    Rhythm.STEADY,
    weight=0.15,
    in_batches=True,
)
DISPUTES = Role(
    ("Disputes tool", "Chargebacks"),
    ("Sends evidence for chargebacks", "Chargeback team"),
    "payments:read customers:read disputes:write",
    Rhythm.OFFICE,
    weight=0.04,
)
WEBHOOKS = Role(
    ("Webhook set-up", "Terraform", "deploy-scripts"),
    ("Used by our deployment scripts only", "Keeps the endpoints in order, runs on each release"),
    "webhooks:write",
    Rhythm.OFFICE,
    weight=0.01,
    in_batches=True,
)
FRAUD = Role(
    ("Fraud scoring", "Risk engine"),
    ("Looks at each payment a second after it happens", "External service, contract until next summer"),
    "payments:read customers:read disputes:read",
    weight=0.5,
)
BOOKING = Role(
    ("Booking engine", "Reservations", "Deposits"),
    ("Deposits and balances for reservations", "Takes the deposit, charges the rest on the day"),
    "payments:write refunds:write customers:write",
    weight=0.8,
)
MARKETPLACE = Role(
    ("Seller onboarding", "Marketplace sign-up"),
    ("Creates customers and payouts for new sellers", ""),
    "customers:write payouts:read balances:read",
    Rhythm.OFFICE,
    weight=0.1,
)
ACCOUNTING = Role(
    ("Accounting", "Bookkeeper", "Bank reconciliation"),
    ("Bank reconciliation", "Our bookkeeper's software. Read only, please keep it so"),
    "payouts:read balances:read reports:read",
    Rhythm.NIGHT,
    weight=0.03,
    in_batches=True,
)
INVOICES = Role(
    ("Invoice reminders", "Payment links", "Invoices"),
    ("Payment links in the letters that go out on Tuesdays", ""),
    "payments:write customers:read",
    Rhythm.OFFICE,
    weight=0.06,
    in_batches=True,
)
DONATIONS = Role(
    ("Donation form", "Gifts", "Website donations"),
    ("One-off and monthly gifts", "The form on the home page"),
    "payments:write customers:write subscriptions:write",
    weight=0.5,
)
OLD_SHOP = Role(
    ("Old storefront", "WooCommerce plugin", "Shop 2023", "Magento"),
    ("Replaced by Checkout backend", "Legacy shop, switched off after the move"),
    "payments:write refunds:write customers:write",
    weight=0.3,
)
AGENCY = Role(
    ("Agency 2025", "Consultants", "Web agency", "Migration project"),
    ("Contract ended", "For the agency that built the site"),
    "payments:read customers:read reports:read",
    Rhythm.OFFICE,
    weight=0.05,
)
SANDBOX_INTEGRATION = Role(
    ("Sandbox integration", "Sandbox", "Trying things out", "New site (test)"),
    ("Used by the agency while they build the new site", "For trying things out", ""),
    SANDBOX,
    Rhythm.OFFICE,
    weight=0.06,
    mode="test",
)
CI = Role(
    ("CI", "Pipeline", "Integration tests", "GitLab"),
    ("Integration tests, on each merge", "Pipeline. Rotated every quarter"),
    SANDBOX,
    Rhythm.OFFICE,
    weight=0.1,
    mode="test",
    in_batches=True,
)
LOCAL = Role(
    ("Local development", "dev", "Laptops", "Playground"),
    ("Shared by the team, test mode only", "Nika's laptop", ""),
    SANDBOX + " payouts:write reports:write",
    Rhythm.OFFICE,
    weight=0.02,
    mode="test",
)

MAIN_ROLES = (CHECKOUT, APP, TILLS, BOOKING, DONATIONS, SUBSCRIPTIONS)
FURTHER_ROLES = (
    APP, TILLS, REFUNDS, REPORTING, PAYOUTS, SUBSCRIPTIONS, ERP, DISPUTES, WEBHOOKS, FRAUD, MARKETPLACE,
    ACCOUNTING, INVOICES, OLD_SHOP, AGENCY, SANDBOX_INTEGRATION, CI, LOCAL,
)  # fmt: skip
