"""What is stored: one module for each table, with its constraints and querysets."""

from keys.models.access import Invitation, Membership, User
from keys.models.apikey import ApiKey
from keys.models.cached import CachedValue
from keys.models.history import HistoryEntry, HistoryHead
from keys.models.merchant import Merchant, MerchantTerm
from keys.models.recording import RecordingLoss, SpoolFile
from keys.models.requestlog import LastUse, RequestLog, UsageHour, UsageMinute
from keys.models.verifier import Acknowledgement, Change, Verifier

__all__ = [
    "Acknowledgement",
    "ApiKey",
    "CachedValue",
    "Change",
    "HistoryEntry",
    "HistoryHead",
    "Invitation",
    "LastUse",
    "Membership",
    "Merchant",
    "MerchantTerm",
    "RecordingLoss",
    "RequestLog",
    "SpoolFile",
    "UsageHour",
    "UsageMinute",
    "User",
    "Verifier",
]
