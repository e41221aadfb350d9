"""What the log says and never says: no call in the product can bring an API key into it."""

import ast
import io
import json
import logging
import logging.config
from copy import deepcopy
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from keys.keyformat import Mode, PlaintextKey
from merchantadmin.logs import request_id
from merchantadmin.settings import LOGGING

ROOT = Path(__file__).parent.parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
# Loggers that others write to, at whatever level: of the server, of Django, of libraries.
OTHERS = (
    "_granian",
    "django",
    "django.request",
    "django.security",
    "allauth",
    "psycopg",
    "asyncio",
    "anybody",
)


def calls() -> list[str]:
    """Each call of a logger in the product, as `module:line:message`."""
    return [
        f"{module(path)}:{node.lineno}:{ast.unparse(node.args[0])}"
        for path in sorted((*ROOT.glob("keys/**/*.py"), *ROOT.glob("merchantadmin/*.py")))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and ast.unparse(node.func.value) in {"logger", "log", "logging"}
    ]


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.fixture(params=["line", "json"])
def written(request: pytest.FixtureRequest):
    """What the product's own handler writes, in either format."""
    configured = deepcopy(LOGGING)
    configured["handlers"]["console"]["formatter"] = request.param
    configurator = logging.config.DictConfigurator(configured)
    built = {
        kind: {
            name: getattr(configurator, f"configure_{kind[:-1]}")(each)
            for name, each in configured[kind].items()
        }
        for kind in ("filters", "formatters")
    }
    stream = io.StringIO()
    console = logging.StreamHandler(stream)
    console.setFormatter(built["formatters"][request.param])
    for name in configured["handlers"]["console"]["filters"]:
        console.addFilter(built["filters"][name])
    root = logging.getLogger()
    root.addHandler(console)
    yield stream
    root.removeHandler(console)


@pytest.fixture
def secret() -> str:
    return PlaintextKey.generate(Mode.LIVE).reveal()


def test_there_are_calls_to_look_at() -> None:
    assert len(calls()) >= 15


@pytest.mark.parametrize("call", calls())
def test_no_call_of_a_logger_lets_a_key_through(call: str, written: io.StringIO, secret: str) -> None:
    name, _, source = call.split(":", 2)
    message = ast.literal_eval(source)
    values = tuple(7 if place == "d" else secret for place in conversions(message))
    said(logging.getLogger(name), message, values, secret)
    assert message.split("%")[0].strip() in written.getvalue()
    assert secret not in written.getvalue()


@pytest.mark.parametrize("name", OTHERS)
def test_no_logger_of_others_lets_a_key_through(name: str, written: io.StringIO, secret: str) -> None:
    said(logging.getLogger(name), f"{secret} %s", (secret,), secret)
    assert name in written.getvalue()
    assert secret not in written.getvalue()


def conversions(message: str) -> list[str]:
    return [part[0] for part in message.split("%")[1:] if part[:1] in {"s", "d", "r"}]


def said(logger: logging.Logger, message: str, values: tuple[object, ...], secret: str) -> None:
    """Say it with all that a line can carry: arguments, a traceback, the stack, more fields."""
    local = secret
    try:
        int(local)
    except ValueError:
        more = {"key": secret, "request_id": secret} if logger.name == "anybody" else {}
        logger.critical(message, *values, exc_info=True, stack_info=True, extra=more)


def test_a_wrong_log_call_says_what_it_can_and_no_key(written: io.StringIO, secret: str) -> None:
    logging.getLogger("anybody").error("of %d keys: %s", secret)  # noqa: PLE1206 - that is what is wrong
    assert "of %d keys" in written.getvalue()
    assert secret not in written.getvalue()


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_each_line_of_json_is_one_object_with_the_request(written: io.StringIO) -> None:
    token = request_id.set("req_1")
    logging.getLogger("anybody").error("two\nlines, and “é”")
    request_id.reset(token)
    logging.getLogger("anybody").error("told", extra={"request_id": "req_2", "else": "unnamed"})
    logging.getLogger("anybody").error("nobody's")
    first, second, third = map(json.loads, written.getvalue().splitlines())
    assert first.keys() == {"time", "level", "logger", "message", "request_id"}
    assert (first["level"], first["logger"], first["message"]) == ("ERROR", "anybody", "two\nlines, and “é”")
    assert (first["request_id"], second["request_id"]) == ("req_1", "req_2")
    assert "request_id" not in third


@pytest.mark.django_db
def test_a_failure_is_logged_under_the_id_of_the_answer(
    written: io.StringIO, monkeypatch, client: Client
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("allauth.account.views.LoginView.get", fail)
    client.raise_request_exception = False
    answer = client.get("/accounts/login/")
    assert answer.status_code == 500
    assert answer["X-Request-Id"] in written.getvalue()
    assert "out of order" in written.getvalue()
    assert settings.LOGGING["handlers"]["console"]["filters"] == ["refusal", "request_id", "scrub"]


@pytest.mark.django_db
def test_a_request_that_django_refuses_is_one_line_without_a_traceback(
    written: io.StringIO, client: Client, secret: str
) -> None:
    many = "&".join([f"q={secret}", *["a=1"] * 1500])
    assert client.get(f"/accounts/login/?{many}").status_code == 400
    [line] = [line for line in written.getvalue().splitlines() if "django.security" in line]
    assert "TooManyFieldsSent" in line
    assert "WARNING" in line
    assert "Traceback" not in written.getvalue()
    assert secret not in written.getvalue()
