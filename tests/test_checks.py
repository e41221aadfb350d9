"""Each numbered check: it finds what it is there to find, says what to do, is silent otherwise, and is described."""

import re
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import run_checks
from django.db import connection
from django.test import override_settings

from keys import guards
from keys.checks import OF_PRODUCTION

ROOT = Path(__file__).parent.parent
PRODUCTION = {
    "PUBLIC_URL": "https://console.example.com",
    "TRUSTED_PROXY_COUNT": 1,
    "DEMO": False,
    "SECRET_KEY": "Zq8-mT3vKx0yWb7nLd5cRf2hJs9gPa4e",
    "SECURE_HSTS_SECONDS": 31_536_000,
    **OF_PRODUCTION,
}


def found(*, databases: list[str] | None = None) -> dict[str, str]:
    """The numbered messages of a run of all checks, each with its hint."""
    messages = [each for each in run_checks(databases=databases) if each.id.startswith("keys.")]
    assert all(each.hint for each in messages)
    return {each.id: each.msg for each in messages}


def test_every_check_is_described_and_tested():
    numbered = re.findall(r'id="(keys\.\w+)"', (ROOT / "keys" / "checks.py").read_text())
    described = re.findall(r"^\| `(keys\.\w+)` \|", (ROOT / "docs" / "checks.md").read_text(), re.MULTILINE)
    tested = re.findall(r"keys\.[EW]\d+", Path(__file__).read_text())
    assert sorted(numbered) == sorted(described) == sorted(set(tested))


def test_a_sound_configuration_is_left_in_peace():
    assert found() == {}


@pytest.mark.parametrize(
    "catalogue",
    [None, "", "[[resources]\n", "[[resources]]\nname = 'payments'\nread = ['GET v1']\n", "\udcff"],
)
def test_keys_e001_an_unusable_permission_catalogue(tmp_path, catalogue):
    path = tmp_path / "permissions.toml"
    if catalogue is not None:
        path.write_text(catalogue, errors="surrogateescape")
    with override_settings(KEYS_PERMISSION_CATALOGUE=path):
        assert str(path) in found()["keys.E001"]


@pytest.mark.parametrize("keys", [[], ["short"], [Fernet.generate_key().decode(), "short"], ["é" * 44]])
def test_keys_e002_unusable_encryption_keys(keys):
    with override_settings(KEYS_ENCRYPTION_KEYS=keys):
        message = found()["keys.E002"]
    assert not any(key in message for key in keys)


def test_an_application_that_only_verifies_is_not_asked_for_what_it_does_not_need():
    with override_settings():
        del settings.KEYS_ENCRYPTION_KEYS, settings.KEYS_GATEWAY_TOKENS, settings.PUBLIC_URL
        assert found() == {}


def test_the_hint_for_encryption_keys_makes_one_that_is_accepted(capsys):
    with override_settings(KEYS_ENCRYPTION_KEYS=[]):
        hint = next(each.hint for each in run_checks() if each.id == "keys.E002")
    exec(re.search(r"python -c '(.+)'", hint)[1])
    with override_settings(KEYS_ENCRYPTION_KEYS=[capsys.readouterr().out.strip()]):
        assert found() == {}


@pytest.mark.django_db
def test_keys_e003_missing_guards():
    assert found(databases=["default"]) == {}
    guards.remove(connection)
    message = found(databases=["default"])["keys.E003"]
    assert all(guard in message for guard in guards.expected(connection))
    guards.install(connection)
    assert found(databases=["default"]) == {}


@pytest.mark.parametrize(
    "tokens",
    [[], [""], ["x" * 31], ["x" * 40, "short"], ["x" * 31 + "é"], ["x" * 31 + '"'], ["=" * 32], ["x\n" * 16]],
)
def test_keys_e004_gateway_tokens_that_could_be_guessed_or_not_sent(tokens):
    with override_settings(KEYS_GATEWAY_TOKENS=tokens):
        message = found()["keys.E004"]
    assert not any(token in message for token in tokens if token)


def test_the_hint_for_gateway_tokens_makes_one_that_is_accepted(capsys):
    with override_settings(KEYS_GATEWAY_TOKENS=[]):
        hint = next(each.hint for each in run_checks() if each.id == "keys.E004")
    exec(re.search(r"python -c '(.+)'", hint)[1])
    with override_settings(KEYS_GATEWAY_TOKENS=[capsys.readouterr().out.strip(), "x" * 31 + "="]):
        assert found() == {}


def test_keys_w001_https_that_no_proxy_vouches_for():
    with override_settings(**PRODUCTION | {"TRUSTED_PROXY_COUNT": 0}):
        assert list(found()) == ["keys.W001"]


def test_keys_w002_plain_http_that_others_reach():
    with override_settings(PUBLIC_URL="http://console.example.com"):
        assert "keys.W002" in found()
    for loopback in ("http://localhost:8000", "http://127.0.0.1", "http://[::1]:8000"):
        with override_settings(PUBLIC_URL=loopback):
            assert found() == {}


def test_keys_w003_links_in_the_log_of_a_production_host():
    console = "django.core.mail.backends.console.EmailBackend"
    with override_settings(
        PUBLIC_URL="https://console.example.com", TRUSTED_PROXY_COUNT=1, EMAIL_BACKEND=console
    ):
        assert "keys.W003" in found()
    with override_settings(PUBLIC_URL="http://127.0.0.1:8000", EMAIL_BACKEND=console):
        assert found() == {}


def test_a_sound_production_host_is_left_in_peace():
    with override_settings(**PRODUCTION):
        assert found() == {}


@pytest.mark.parametrize("secret", ["short", "a" * 64, "django-insecure-Zq8-mT3vKx0yWb7nLd5cRf2hJs9gPa4e"])
def test_keys_e005_a_secret_key_that_could_be_guessed(secret):
    with override_settings(**PRODUCTION | {"SECRET_KEY": secret}):
        message = found()["keys.E005"]
    assert secret not in message


@pytest.mark.parametrize("host", ["*", "*.example.com", ".example.com"])
def test_keys_e006_hosts_that_nobody_has_named(host):
    with override_settings(**PRODUCTION, ALLOWED_HOSTS=["console.example.com", host]):
        assert host in found()["keys.E006"]


def test_keys_e007_one_secret_for_two_purposes():
    key = Fernet.generate_key().decode()
    with override_settings(KEYS_ENCRYPTION_KEYS=[key], KEYS_GATEWAY_TOKENS=[key]):
        message = found()["keys.E007"]
    assert "KEYS_ENCRYPTION_KEYS and KEYS_GATEWAY_TOKENS" in message
    assert key not in message


def test_keys_e008_files_that_others_can_read(tmp_path):
    tmp_path.chmod(0o755)
    secret = tmp_path / "encryption_key"
    secret.write_text("kept")
    secret.chmod(0o644)
    with override_settings(DATA_DIR=tmp_path):
        assert "encryption_key" in found()["keys.E008"]
        secret.chmod(0o600)
        assert found() == {}
        # Nobody else gets as far as the file.
        secret.chmod(0o644)
        tmp_path.chmod(0o700)
        assert found() == {}


@pytest.mark.parametrize(
    "weaker",
    [
        *(
            {name: not value if isinstance(value, bool) else "SAMEORIGIN"}
            for name, value in OF_PRODUCTION.items()
        ),
        {"SECURE_HSTS_SECONDS": 3600},
        {"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"script-src": ["'self'", "'unsafe-inline'"]}}},
        {"CONTENT_SECURITY_POLICY": {}},
    ],
)
def test_keys_e009_protection_that_was_taken_back(weaker):
    with override_settings(**PRODUCTION | weaker):
        assert set(weaker) == set(re.findall(r"\b[A-Z_]{5,}\b", found()["keys.E009"]))


def test_keys_w004_demo_data_in_production():
    with override_settings(**PRODUCTION | {"DEMO": True}):
        assert list(found()) == ["keys.W004"]


@pytest.mark.parametrize(
    ("host", "options", "is_open"),
    [
        ("db.example.com", {}, True),
        ("db.example.com", {"sslmode": "prefer"}, True),
        ("db.example.com", {"sslmode": "verify-full"}, False),
        ("127.0.0.1", {}, False),
        ("/run/postgresql", {}, False),
        ("", {}, False),
    ],
)
def test_keys_w005_a_database_that_is_read_along_the_way(host, options, is_open):
    database = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "OPTIONS": options}
    with patch.object(settings, "DATABASES", {"default": database}):
        assert ("keys.W005" in found()) is is_open
