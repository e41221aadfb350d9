"""Encryption at rest: the only place where a key's plain text meets the database.

Fernet (AES-128-CBC with HMAC-SHA-256), several keys at a time: KEYS_ENCRYPTION_KEYS lists them, the first
encrypts, all decrypt. With KEYS_SECRET_POLICY=show_once nothing is stored at all.
"""

from functools import cache
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from keys.errors import SecretUnavailable
from keys.keyformat import PlaintextKey


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def seal(secret: PlaintextKey) -> str | None:
    """The ciphertext to store, or None where the policy is to store none."""
    if settings.KEYS_SECRET_POLICY == "show_once":  # noqa: S105
        return None
    return _fernet(tuple(settings.KEYS_ENCRYPTION_KEYS)).encrypt(secret.reveal().encode()).decode()


def seal_text(text: str) -> str:
    """The same for other secrets that have to be read again: those of second factors."""
    return _fernet(tuple(settings.KEYS_ENCRYPTION_KEYS)).encrypt(text.encode()).decode()


def unseal_text(ciphertext: str) -> str:
    """Raises SecretUnavailable where none of the keys fits."""
    try:
        return _fernet(tuple(settings.KEYS_ENCRYPTION_KEYS)).decrypt(ciphertext).decode()
    except (InvalidToken, ValueError) as error:
        raise SecretUnavailable("A secret cannot be decrypted.", "Check KEYS_ENCRYPTION_KEYS.") from error


def text_sealed_with(ciphertext: str) -> int:
    """Which of KEYS_ENCRYPTION_KEYS such a text is under, 0 for the first; raises as `unseal_text` does."""
    for position, key in enumerate(settings.KEYS_ENCRYPTION_KEYS):
        try:
            _fernet((key,)).decrypt(ciphertext)
        except (InvalidToken, ValueError):
            continue
        return position
    raise SecretUnavailable("A secret cannot be decrypted.", "Check KEYS_ENCRYPTION_KEYS.")


def unseal(ciphertext: str | None, *, digest: bytes) -> PlaintextKey:
    """The key behind `ciphertext`; raises SecretUnavailable unless it is the one with this digest."""
    if not ciphertext:
        raise SecretUnavailable("This key's text is not stored.", "Duplicate it to get a new key.")
    return _opened(_fernet(tuple(settings.KEYS_ENCRYPTION_KEYS)), ciphertext, digest)


def sealed_with(ciphertext: str, *, digest: bytes) -> int:
    """Which of KEYS_ENCRYPTION_KEYS `ciphertext` is under, 0 for the first; raises as `unseal` does."""
    for position, key in enumerate(settings.KEYS_ENCRYPTION_KEYS):
        try:
            _opened(_fernet((key,)), ciphertext, digest)
        except Undecryptable:
            continue
        return position
    raise Undecryptable


def reseal(ciphertext: str, *, digest: bytes) -> str:
    """`ciphertext` under the first key, whatever the policy for new ones; raises as `unseal` does."""
    secret = unseal(ciphertext, digest=digest)
    return _fernet(tuple(settings.KEYS_ENCRYPTION_KEYS)).encrypt(secret.reveal().encode()).decode()


def fingerprints() -> list[str]:
    """Something to tell each of KEYS_ENCRYPTION_KEYS by, which is of no use to whoever would like to have it."""
    return [sha256(f"merchantadmin {key}".encode()).hexdigest()[:8] for key in settings.KEYS_ENCRYPTION_KEYS]


class Undecryptable(SecretUnavailable):
    """None of the keys decrypts it, or what comes out is no API key."""

    def __init__(self) -> None:
        super().__init__(
            "This key's text cannot be decrypted.", "Check KEYS_ENCRYPTION_KEYS; the key itself still works."
        )


def _opened(fernet: MultiFernet, ciphertext: str, digest: bytes) -> PlaintextKey:
    try:
        secret = PlaintextKey(fernet.decrypt(ciphertext).decode())
    except (InvalidToken, ValueError) as error:
        raise Undecryptable from error
    if secret.digest != digest:
        raise SecretUnavailable(
            "This key's stored text belongs to another key: it was changed in the database.",
            "Disable this key and find out who changed it.",
        )
    return secret
