"""Settings come from the environment, are read strictly, and are all described in docs/settings.md."""

import os
import re
import runpy
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from merchantadmin import env

ROOT = Path(__file__).parent.parent
READERS = ("merchantadmin/settings.py", "keys/management/commands/serve.py")
READ = re.compile(r'(?:env\.\w+|os\.environ\.get)\(\s*"([A-Z_]+)"')
PRODUCTION = {
    "PUBLIC_URL": "https://console.example.com",
    "SECRET_KEY": "s" * 60,
    "KEYS_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
}


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Load the settings afresh, with these variables and no others."""

    def load_with(**variables: str) -> dict:
        for name in read_by_the_product():
            monkeypatch.delenv(name, raising=False)
        for name, value in {"DATA_DIR": str(tmp_path / "data"), **variables}.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "merchantadmin" / "settings.py"))

    return load_with


def read_by_the_product() -> set[str]:
    return {name for file in READERS for name in READ.findall((ROOT / file).read_text())}


def test_every_variable_is_described_and_nothing_else_is():
    described = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert len(described) == len(set(described))
    assert set(described) == read_by_the_product()
    assert {"PUBLIC_URL", "KEYS_SECRET_POLICY", "DJANGO_SUPERUSER_PASSWORD"} <= set(described)


def test_without_any_variable_it_is_one_laptop(load, tmp_path):
    settings = load()
    assert settings["DEBUG"] is False
    assert settings["PUBLIC_URL"] == "http://127.0.0.1:8000"
    assert settings["DATABASES"]["default"]["NAME"] == str(tmp_path / "data" / "merchantadmin.sqlite3")
    assert settings["SESSION_COOKIE_SECURE"] is False
    assert settings["DEMO"] is True


def test_an_https_address_makes_it_a_production_host(load):
    settings = load(**PRODUCTION, TRUSTED_PROXY_COUNT="1")
    assert settings["SESSION_COOKIE_SECURE"] is settings["CSRF_COOKIE_SECURE"] is True
    assert settings["SECURE_SSL_REDIRECT"] is True
    assert settings["SECURE_HSTS_SECONDS"] >= 60 * 60 * 24 * 365
    assert settings["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")
    assert settings["ALLOWED_HOSTS"][0] == "console.example.com"
    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://console.example.com"]
    assert settings["DEMO"] is False


def test_without_a_trusted_proxy_nobody_can_claim_https(load):
    assert "SECURE_PROXY_SSL_HEADER" not in load(**PRODUCTION)


@pytest.mark.parametrize("missing", ["SECRET_KEY", "KEYS_ENCRYPTION_KEYS"])
def test_a_production_host_generates_no_secrets(load, tmp_path, missing):
    with pytest.raises(ImproperlyConfigured, match="set SECRET_KEY and KEYS_ENCRYPTION_KEYS"):
        load(**{name: value for name, value in PRODUCTION.items() if name != missing})
    assert not (tmp_path / "data").exists()


def test_a_production_host_never_runs_with_debug(load):
    with pytest.raises(ImproperlyConfigured, match="DEBUG"):
        load(**PRODUCTION, DEBUG="1")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "٨٠٠٠"),
        ("DEBUG", "maybe"),
        ("DEMO", "2"),
        ("TRUSTED_PROXY_COUNT", "11"),
        ("KEYS_SECRET_POLICY", "Reveal"),
        ("KEYS_REQUEST_RETENTION_DAYS", "1"),
        ("KEYS_MINUTE_RETENTION_DAYS", "1"),
        ("KEYS_USAGE_RETENTION_DAYS", "89"),
        ("PUBLIC_URL", "console.example.com"),
        ("PUBLIC_URL", "https://console.example.com/console"),
        ("PUBLIC_URL", "ftp://console.example.com"),
        ("SECOND_FACTOR_REQUIRED", "always"),
        ("DATABASE_URL", "mysql://root:rosebud@db/merchants"),
        ("DATABASE_URL", "postgres//root:rosebud@db/merchants"),
    ],
)
def test_a_value_that_cannot_be_understood_stops_the_start(load, variable, value):
    with pytest.raises(ImproperlyConfigured, match=variable) as refused:
        load(**{variable: value})
    assert "rosebud" not in str(refused.value)


OIDC = {
    "OIDC_SERVER_URL": "https://login.example.com/realm/",
    "OIDC_CLIENT_ID": "merchant-admin",
    "OIDC_CLIENT_SECRET": "rosebud",
}


def test_single_sign_on_is_off_until_all_of_it_is_set(load):
    assert load()["SOCIALACCOUNT_PROVIDERS"]["openid_connect"]["APPS"] == []
    [app] = load(**OIDC)["SOCIALACCOUNT_PROVIDERS"]["openid_connect"]["APPS"]
    assert app == {
        "provider_id": "sso",
        "name": "single sign-on",
        "client_id": "merchant-admin",
        "secret": "rosebud",
        "settings": {"server_url": "https://login.example.com/realm"},
    }


@pytest.mark.parametrize("wrong", [
    {"OIDC_SERVER_URL": ""}, {"OIDC_CLIENT_ID": ""}, {"OIDC_CLIENT_SECRET": ""}, {"OIDC_SERVER_URL": "login"},
    {"OIDC_SERVER_URL": "ftp://login.example.com"}, {"OIDC_SERVER_URL": "http://login.example.com", **PRODUCTION},
])  # fmt: skip
def test_half_a_provider_stops_the_start(load, wrong):
    with pytest.raises(ImproperlyConfigured, match="OIDC") as refused:
        load(**OIDC | wrong)
    assert "rosebud" not in str(refused.value)


def test_counts_are_kept_for_as_long_as_requests_and_longer_where_nothing_else_is_said(load):
    def days(**given: str) -> tuple[int, int, int]:
        settings = load(**given)
        return tuple(settings[f"KEYS_{kind}_RETENTION_DAYS"] for kind in ("MINUTE", "REQUEST", "USAGE"))

    assert days() == (2, 90, 730)
    assert days(KEYS_REQUEST_RETENTION_DAYS="1000") == (2, 1000, 1000)
    assert days(KEYS_REQUEST_RETENTION_DAYS="30", KEYS_USAGE_RETENTION_DAYS="30") == (2, 30, 30)


@pytest.mark.parametrize(
    "variable", ["PORT", "PUBLIC_URL", "DATABASE_URL", "KEYS_SECRET_POLICY", "ALLOWED_HOSTS"]
)
def test_an_empty_variable_is_one_that_is_not_set(load, variable):
    name = {"DATABASE_URL": "DATABASES"}.get(variable, variable)
    assert load(**{variable: " "})[name] == load()[name]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True),
        ("TRUE", True),
        (" on ", True),
        ("yes", True),
        ("0", False),
        ("No", False),
        ("off", False),
        ("", False),
    ],
)
def test_a_flag_is_read_as_people_write_it(monkeypatch, text, value):
    monkeypatch.setenv("A_FLAG", text)
    assert env.flag("A_FLAG", default=not value) is value


def test_words_are_separated_by_commas_or_white_space(monkeypatch):
    monkeypatch.setenv("SOME_WORDS", " one, two  three,")
    assert env.words("SOME_WORDS") == ["one", "two", "three"]


def test_a_given_secret_is_used_and_not_written_down(monkeypatch, tmp_path):
    monkeypatch.setenv("A_SECRET", "given")
    assert env.kept_secret("A_SECRET", tmp_path / "data" / "secret") == "given"
    assert not (tmp_path / "data").exists()


def test_a_generated_secret_is_kept_for_its_owner_alone(monkeypatch, tmp_path):
    monkeypatch.delenv("A_SECRET", raising=False)
    path = tmp_path / "data" / "secret"
    previous = os.umask(0)
    try:
        first = env.kept_secret("A_SECRET", path)
    finally:
        os.umask(previous)
    assert Fernet(first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert env.kept_secret("A_SECRET", path) == first
    assert [each.name for each in path.parent.iterdir()] == ["secret"]


def test_an_empty_secret_is_never_replaced(monkeypatch, tmp_path):
    monkeypatch.delenv("A_SECRET", raising=False)
    path = tmp_path / "secret"
    path.touch()
    with pytest.raises(ImproperlyConfigured, match="Restore it from a backup"):
        env.kept_secret("A_SECRET", path)


def test_a_place_that_cannot_hold_a_secret_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("A_SECRET", raising=False)
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match="Set DATA_DIR or A_SECRET"):
        env.kept_secret("A_SECRET", tmp_path / "file" / "secret")


def test_processes_that_start_together_get_one_secret(tmp_path):
    script = (
        "import sys, pathlib; from merchantadmin import env; sys.stdin.read(1); "
        "print(env.kept_secret('A_SECRET', pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data" / "secret")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate()[0].strip() for process in processes}
    assert answers == {(tmp_path / "data" / "secret").read_text()}
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["secret"]


def test_mail_goes_to_the_server_s_output_until_a_mail_server_is_named(load):
    assert load()["EMAIL_BACKEND"].endswith("console.EmailBackend")

    settings = load(EMAIL_HOST="mail.example.com", PUBLIC_URL="http://localhost:8000")
    assert settings["EMAIL_BACKEND"].endswith("smtp.EmailBackend")
    assert (settings["EMAIL_PORT"], settings["EMAIL_USE_TLS"], settings["EMAIL_USE_SSL"]) == (
        587,
        True,
        False,
    )
    assert settings["DEFAULT_FROM_EMAIL"] == "merchantadmin@localhost"
    settings = load(EMAIL_HOST="mail.example.com", EMAIL_SECURITY="tls", EMAIL_FROM="keys@example.com")
    assert (settings["EMAIL_PORT"], settings["EMAIL_USE_TLS"], settings["EMAIL_USE_SSL"]) == (
        465,
        False,
        True,
    )
    assert settings["DEFAULT_FROM_EMAIL"] == "keys@example.com"
    with pytest.raises(ImproperlyConfigured, match="EMAIL_SECURITY"):
        load(EMAIL_SECURITY="ssl")
