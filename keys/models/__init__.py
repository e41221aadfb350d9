"""What is stored: one module for each table, with its constraints and querysets."""

from keys.models.access import User
from keys.models.apikey import ApiKey
from keys.models.history import HistoryEntry
from keys.models.merchant import Merchant, MerchantTerm
from keys.models.requestlog import RequestLog, UsageHour, UsageMinute

__all__ = [
    "ApiKey",
    "HistoryEntry",
    "Merchant",
    "MerchantTerm",
    "RequestLog",
    "UsageHour",
    "UsageMinute",
    "User",
]
