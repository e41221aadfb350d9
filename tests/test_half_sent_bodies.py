"""Bodies that never come to their end keep other bodies waiting, and nothing else."""

import http.client
import io
import socket
from collections.abc import Iterator

import pytest

from keys.gateway import bodies
from tests.installation import Installation, bring_static_files, stop

TOKEN = "a-gateway-token-of-more-than-32-characters"
FORM = "application/x-www-form-urlencoded"
HALF = {
    "/accounts/login/": f"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM}\r\n"
    "Content-Length: 40\r\n\r\nlogin=operator&pass",
    "/v1/keys/verify": "POST /v1/keys/verify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f'Authorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{{"key"\r\n',
}


@pytest.fixture
def port(tmp_path) -> Iterator[int]:
    """Of a server that runs on an installation of its own."""
    installation = Installation(tmp_path / "data", f"sqlite:///{tmp_path / 'merchantadmin.sqlite3'}")
    bring_static_files(installation.data)
    server = installation.start(KEYS_GATEWAY_TOKENS=TOKEN)
    try:
        installation.wait_for_answer(server)
        yield installation.port
        stop(server)
    finally:
        installation.clean_up()


def ask(port: int, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.request(method, path, body=body or None, headers=headers)
    answer = client.getresponse()
    answer.body = answer.read()
    client.close()
    return answer


def verify(port: int) -> http.client.HTTPResponse:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    return ask(
        port, "POST", "/v1/keys/verify", '{"key": "x", "method": "GET", "path": "/v1/payments"}', **headers
    )


@pytest.mark.process
@pytest.mark.xdist_group("serve")
@pytest.mark.parametrize("path", HALF)
def test_half_sent_bodies_stop_neither_verification_nor_pages(port: int, path: str) -> None:
    assert verify(port).status == 200
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(4 * bodies.AT_ONCE)]
    for connection in waiting:
        connection.sendall(HALF[path].encode())
    for _ in range(20):
        assert ask(port, "GET", "/v1/whoami").status == 401
        assert ask(port, "GET", "/accounts/login/").status == 200
    for refused in (verify(port), ask(port, "POST", "/accounts/login/", "login=a", **{"Content-Type": FORM})):
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "1"
    for connection in waiting:
        connection.close()
    answers = {verify(port).status for _ in range(3)}
    assert answers <= {200, 503}
    assert verify(port).status == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"CONTENT_LENGTH": "9"}, b"login=a", "400 Bad Request"),
        ({"CONTENT_LENGTH": "-1"}, b"login=a", "400 Bad Request"),
        ({"CONTENT_LENGTH": str(2**40)}, b"login=a", "413 Content Too Large"),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, bytes(2**20 + 1), "413 Content Too Large"),
        # Django has no token of this form, and says so: it has got the body.
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, b"login=a", "403 Forbidden"),
        ({"CONTENT_LENGTH": "7"}, b"login=a and more", "403 Forbidden"),
    ],
)
@pytest.mark.django_db
def test_a_form_comes_whole_or_django_is_not_asked(headers: dict[str, str], body: bytes, status: str) -> None:
    assert answered(body, **headers) == status


def test_a_form_whose_turn_does_not_come_is_told_to_come_again(monkeypatch) -> None:
    monkeypatch.setattr(bodies, "TURN_SECONDS", 0.01)
    for _ in range(bodies.AT_ONCE):
        bodies._turns.acquire()
    try:
        assert answered(b"login=a", CONTENT_LENGTH="7") == "503 Service Unavailable"
    finally:
        for _ in range(bodies.AT_ONCE):
            bodies._turns.release()


def answered(body: bytes, **headers: str) -> str:
    """The status that the application has for a form with this body."""
    from merchantadmin.wsgi import application

    answers: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/accounts/login/", "QUERY_STRING": "", "CONTENT_TYPE": FORM,
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "HTTP_HOST": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }  # fmt: skip
    application(environ | headers, lambda status, headers, *_: answers.append(status))
    return answers[0]
