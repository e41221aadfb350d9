"""`GET /v1/openapi.json`: a valid description of all calls, to which every answer of the running server keeps."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.conf import settings

from keys.gateway import openapi, problems, schemas
from keys.models import ApiKey
from keys.outcomes import Outcome
from keys.permissions import catalogue
from tests import fuzzing
from tests.client import ProductClient, direct_gateway
from tests.factories import ApiKeyFactory
from tests.test_gateway_server import port  # noqa: F401

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "http-api.md").read_text()
# Long enough for the examples, the edges of every schema, and some more; or for very much more.
SECONDS, SECONDS_AT_LENGTH = 20, 150
CASES_MIN = 500


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document(catalogue())


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


def test_a_mistake_in_it_would_be_seen(document: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(document))
    broken["paths"]["/v1/whoami"]["get"]["responses"]["200"].pop("description")
    with pytest.raises(Exception, match='"description" is a required property'):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))
    assert len(references) > 20
    for reference in references:
        place: Any = document
        for name in reference.split("/"):
            place = place[name]


@pytest.mark.django_db
def test_anybody_may_read_it(client: ProductClient, document: dict[str, Any]) -> None:
    answer = client.get("/v1/openapi.json")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json() == document
    head = client.head("/v1/openapi.json")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head["Content-Length"]) == len(answer.content)
    refused = client.post("/v1/openapi.json")
    assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")


def test_every_call_is_described_and_no_other(document: dict[str, Any]) -> None:
    described = {path.removesuffix("/{path}") for path in document["paths"]}
    assert described == set(direct_gateway()._calls)


def test_the_prose_names_the_same_calls(document: dict[str, Any]) -> None:
    table = re.findall(r"^\| (?:(any method)|`?([A-Z]+))(?: on)? ?`?(/v1/[a-z./]+)` \|", DOCS, re.MULTILINE)
    named = {(path, method or "any") for _, method, path in table}
    for path, method in named:
        methods = {call.split()[0] for call in operations(document) if call.split()[1] == path}
        assert methods >= ({"GET", "POST", "TRACE"} if method == "any" else {method})
    assert {path for path, _ in named} == {path.removesuffix("/{path}") for path in document["paths"]}


def test_every_problem_and_every_outcome_is_in_it(document: dict[str, Any]) -> None:
    responses = document["components"]["responses"]
    for problem in problems.ALL:
        content = responses[schemas.schema_name(problem)]["content"]["application/problem+json"]
        assert content["examples"][problem.name]["value"]["type"] == problem.type
        described = document["components"]["schemas"][schemas.schema_name(problem)]
        assert described["properties"]["status"] == {"const": problem.status}
    assert document["components"]["schemas"]["Outcome"]["enum"] == Outcome.values


@pytest.mark.parametrize(
    "call", ["GET /v1/whoami", "PUT /v1/authorize", "POST /v1/keys/verify", "POST /v1/requests"]
)
def test_each_call_says_what_it_needs(document: dict[str, Any], call: str) -> None:
    schemes = {name for each in operations(document)[call]["security"] for name in each}
    expected = {"gatewayToken"} if call.startswith("POST") else {"keyAsBearer", "keyAsHeader", "keyAsBasic"}
    assert schemes == expected
    assert schemes <= set(document["components"]["securitySchemes"])


def test_the_permissions_that_can_be_asked_about_are_those_of_the_catalogue(document: dict[str, Any]) -> None:
    offered = document["components"]["schemas"]["VerifyRequest"]["properties"]["permission"]["enum"]
    assert "payments:write" in offered
    assert len(offered) == sum(len(resource.accesses) for resource in catalogue().resources.values())


def test_no_example_is_a_key_that_a_scanner_would_report(document: dict[str, Any]) -> None:
    from keys.keyformat import MalformedKey, PlaintextKey

    candidates = re.findall(r"sk_(?:live|test)_[0-9A-Za-z]+", json.dumps(document))
    assert candidates
    for candidate in candidates:
        with pytest.raises(MalformedKey):
            PlaintextKey(candidate)


def configuration(key: ApiKey) -> str:
    """For schemathesis: the credentials, and what the document cannot say."""
    secret = key.secret.reveal()
    return f"""
        hooks = "{ROOT / "tests" / "schemathesis_hooks.py"}"

        [[operations]]
        include-path-regex = "^/v1/authorize"
        # Any method may be asked about, not only those that OpenAPI knows.
        checks.unsupported_method.enabled = false
        # Headers that say only half of the original request, or contradict each other or the path.
        checks.positive_data_acceptance.expected-statuses = [200, 400, 401, 403]

        [[operations]]
        include-path = "/v1/requests"
        # Each line is judged by itself, and a bad one is named in the answer.
        checks.negative_data_rejection.expected-statuses = [200, 400, 401, 405, 413, 415]
        # As many lines as are allowed can be more bytes than are.
        checks.positive_data_acceptance.expected-statuses = [200, 413]

        [auth.openapi]
        keyAsBearer = {{ bearer = "{secret}" }}
        keyAsHeader = {{ api_key = "{secret}" }}
        keyAsBasic = {{ username = "{key.merchant.public_id}", password = "{secret}" }}
        gatewayToken = {{ bearer = "{settings.KEYS_GATEWAY_TOKENS[0]}" }}
    """


@pytest.mark.fuzz
@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_the_running_server_keeps_to_it(port: int, tmp_path: Path) -> None:  # noqa: F811
    """schemathesis sends what the document allows and what it forbids, and holds every answer to it."""
    (tmp_path / "schemathesis.toml").write_text(configuration(ApiKeyFactory()))
    seconds = SECONDS_AT_LENGTH if fuzzing.CASES else SECONDS
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/v1/openapi.json"),
        *("--max-time", str(seconds), "--max-examples", str(fuzzing.CASES or 100)),
        *("--phases", "examples,coverage,fuzzing", "--report", "json", "--report-json-path", "report.json"),
    ]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=seconds * 2 + 120, check=False
    )
    report = json.loads((tmp_path / "report.json").read_text())
    fuzzing.count(report["test_cases"]["generated"])
    assert ran.returncode == 0, ran.stdout[-20_000:]
    assert report["operations"]["tested"] == report["operations"]["total"] > 20
    assert report["test_cases"]["generated"] >= CASES_MIN
