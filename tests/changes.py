"""Changes that somebody makes by hand, past the product: their SQL on either database, and how each is seen."""

from keys.gateway.directory import Holder

DISABLE = "UPDATE keys_apikey SET status = 'disabled'"
ENABLE = "UPDATE keys_apikey SET status = 'enabled'"


def expires_in_2020(holder: Holder) -> bool:
    return holder.facts.expires_at is not None and holder.facts.expires_at.year == 2020


CHANGES = {
    "key status": (DISABLE, lambda holder: holder.facts.key_status == "disabled"),
    "key expiry": ("UPDATE keys_apikey SET expires_at = '2020-01-01 00:00:00'", expires_in_2020),
    "key networks": (
        "UPDATE keys_apikey SET allowed_networks = '203.0.113.0/24'",
        lambda holder: [*map(str, holder.facts.allowed_networks)] == ["203.0.113.0/24"],
    ),
    "key name": ("UPDATE keys_apikey SET name = 'Till'", lambda holder: holder.key_name == "Till"),
    "merchant status": (
        "UPDATE keys_merchant SET status = 'disabled'",
        lambda holder: holder.facts.merchant_status == "disabled",
    ),
    "merchant name": (
        "UPDATE keys_merchant SET name = 'Southwind'",
        lambda holder: holder.merchant_name == "Southwind",
    ),
}
