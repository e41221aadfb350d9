"""Encryption at rest: what is stored can be read back by those who hold the keys, and only as what it was."""

import base64

import pytest
from cryptography.fernet import Fernet

from keys import lifecycle, vault
from keys.errors import SecretUnavailable
from keys.history import Actor
from keys.keyformat import Mode, PlaintextKey
from keys.models import ApiKey
from tests.factories import ApiKeyFactory

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


@pytest.fixture
def secret() -> PlaintextKey:
    return PlaintextKey.generate(Mode.LIVE)


@pytest.fixture(autouse=True)
def encrypt_with_old(settings) -> None:
    settings.KEYS_ENCRYPTION_KEYS = [OLD]


def test_what_was_sealed_is_unsealed(secret: PlaintextKey) -> None:
    assert vault.unseal(vault.seal(secret), digest=secret.digest) == secret


def test_the_ciphertext_tells_nothing(secret: PlaintextKey) -> None:
    ciphertext = vault.seal(secret)
    octets = base64.urlsafe_b64decode(ciphertext)
    for part in (secret.reveal(), secret.head, "sk_live"):
        assert part.encode() not in octets
    assert vault.seal(secret) != ciphertext


def test_a_new_first_key_seals_and_the_old_one_still_unseals(secret: PlaintextKey, settings) -> None:
    before = vault.seal(secret)
    settings.KEYS_ENCRYPTION_KEYS = [NEW, OLD]
    after = vault.seal(secret)
    assert vault.unseal(before, digest=secret.digest) == secret
    settings.KEYS_ENCRYPTION_KEYS = [NEW]
    assert vault.unseal(after, digest=secret.digest) == secret
    with pytest.raises(SecretUnavailable, match="cannot be decrypted"):
        vault.unseal(before, digest=secret.digest)


def test_with_show_once_nothing_is_stored(secret: PlaintextKey, settings) -> None:
    settings.KEYS_SECRET_POLICY = "show_once"
    assert vault.seal(secret) is None
    with pytest.raises(SecretUnavailable, match="not stored"):
        vault.unseal(None, digest=secret.digest)


def test_the_ciphertext_of_another_key_is_noticed(secret: PlaintextKey) -> None:
    other = vault.seal(PlaintextKey.generate(Mode.LIVE))
    with pytest.raises(SecretUnavailable, match="belongs to another key"):
        vault.unseal(other, digest=secret.digest)


@pytest.mark.parametrize(
    "damage",
    [
        lambda ciphertext: "nonsense",
        lambda ciphertext: "ключ",
        lambda ciphertext: "\x00",
        lambda ciphertext: ciphertext[:-1],
        lambda ciphertext: Fernet(OLD).encrypt(b"not an API key").decode(),
        lambda ciphertext: Fernet(OLD).encrypt(b"\xff\xfe").decode(),
        lambda ciphertext: Fernet(NEW).encrypt(Fernet(OLD).decrypt(ciphertext)).decode(),
    ],
)
def test_a_damaged_ciphertext_is_refused(secret: PlaintextKey, damage) -> None:
    ciphertext = vault.seal(secret)
    with pytest.raises(SecretUnavailable, match="cannot be decrypted"):
        vault.unseal(damage(ciphertext), digest=secret.digest)


def test_every_changed_byte_is_noticed(secret: PlaintextKey) -> None:
    octets = base64.urlsafe_b64decode(vault.seal(secret))
    for place in range(len(octets)):
        changed = octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]
        with pytest.raises(SecretUnavailable):
            vault.unseal(base64.urlsafe_b64encode(changed).decode(), digest=secret.digest)


@pytest.mark.django_db
def test_a_ciphertext_swapped_in_the_database_is_not_copied(actor: Actor) -> None:
    victim, thief = ApiKeyFactory(), ApiKeyFactory()
    assert lifecycle.copy(key=victim, actor=actor) == victim.secret
    stolen = ApiKey.objects.get(pk=victim.pk).secret_ciphertext
    ApiKey.objects.filter(pk=thief.pk).update(secret_ciphertext=stolen)
    with pytest.raises(SecretUnavailable, match="belongs to another key"):
        lifecycle.copy(key=thief, actor=actor)


@pytest.mark.django_db
def test_no_column_holds_the_key_in_plain_text(api_key: ApiKey) -> None:
    row = ApiKey.objects.filter(pk=api_key.pk).values().get()
    unmasked = api_key.secret.reveal()[12:-4]
    assert row["secret_ciphertext"]
    for name, value in row.items():
        assert unmasked not in str(value), name
        assert unmasked.encode() not in (bytes(value) if name == "digest" else b""), name


@pytest.mark.django_db
def test_with_show_once_a_key_works_but_is_never_copied(settings, actor: Actor, client) -> None:
    settings.KEYS_SECRET_POLICY = "show_once"
    key = ApiKeyFactory()
    assert ApiKey.objects.get(pk=key.pk).secret_ciphertext is None
    with pytest.raises(SecretUnavailable, match="not stored"):
        lifecycle.copy(key=key, actor=actor)
    answer = client.get("/v1/whoami", headers={"X-API-Key": key.secret.reveal()})
    assert answer.status_code == 200
