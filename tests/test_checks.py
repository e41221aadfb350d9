"""Each numbered check: it finds what it is there to find, says what to do, is silent otherwise, and is described."""

import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import run_checks
from django.db import connection
from django.test import override_settings

from keys import guards

ROOT = Path(__file__).parent.parent


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
    with override_settings(PUBLIC_URL="https://console.example.com", TRUSTED_PROXY_COUNT=0):
        assert "keys.W001" in found()
    with override_settings(PUBLIC_URL="https://console.example.com", TRUSTED_PROXY_COUNT=1):
        assert found() == {}


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
