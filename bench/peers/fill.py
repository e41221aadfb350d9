"""`python -m bench.peers.fill KEYS FOLDER`: tables, so many keys of each package, and a file of requests with each.

The environment names the peers' own database and settings. The files are made for bench.gateway.wrk.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402
from knox.crypto import create_token_string, hash_token  # noqa: E402
from knox.models import AuthToken  # noqa: E402
from knox.settings import CONSTANTS, knox_settings  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402
from rest_framework_api_key.models import APIKey  # noqa: E402

AT_ONCE = 2000
# Each makes a key for each user, and yields the header that carries it.
Maker = Callable[[list[User]], Iterator[str]]


def api_keys(users: list[User]) -> Iterator[str]:
    keys = [APIKey(name=user.username) for user in users]
    texts = [APIKey.objects.assign_key(key) for key in keys]
    APIKey.objects.bulk_create(keys, batch_size=AT_ONCE)
    yield from (f"Authorization: Api-Key {text}" for text in texts)


def tokens(users: list[User]) -> Iterator[str]:
    made = [Token(key=Token.generate_key(), user=user) for user in users]
    Token.objects.bulk_create(made, batch_size=AT_ONCE)
    yield from (f"Authorization: Token {token.key}" for token in made)


def knox_tokens(users: list[User]) -> Iterator[str]:
    texts = [create_token_string() for _ in users]
    expiry = timezone.now() + knox_settings.TOKEN_TTL
    AuthToken.objects.bulk_create(
        [
            AuthToken(
                digest=hash_token(text),
                token_key=text[: CONSTANTS.TOKEN_KEY_LENGTH],
                user=user,
                expiry=expiry,
            )
            for text, user in zip(texts, users, strict=True)
        ],
        batch_size=AT_ONCE,
    )
    yield from (f"Authorization: Token {text}" for text in texts)


MAKERS: dict[str, Maker] = {"api-key": api_keys, "token": tokens, "knox": knox_tokens}


def fill(keys: int, folder: Path) -> None:
    call_command("migrate", verbosity=0)
    users = User.objects.bulk_create(
        [User(username=f"user-{number}", password="!") for number in range(keys)],  # noqa: S106
        batch_size=AT_ONCE,
    )
    for name, make in MAKERS.items():
        with (folder / f"{name}.requests").open("w") as file:
            file.writelines(f"GET\t/{name}\t{header}\n" for header in make(users))


if __name__ == "__main__":
    os.umask(0o077)
    fill(int(sys.argv[1]), Path(sys.argv[2]))
