"""What is sent: files of requests, a line each: method, path, and each header, separated by tabs.

The keys in them open nothing but an installation made for the occasion; the files are readable by their owner alone.
"""

import json
import os
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.errors import BenchError
from bench.installation import Installation
from keys.keyformat import ALPHABET, RANDOM_LENGTH, checksum

# How much of what `seed_demo` makes is usable from here, and a little less: 20 % of its keys are disabled or revoked,
# 10 % belong to networks elsewhere, and 4 % of its merchant accounts are disabled.
USABLE = 0.66


@dataclass(frozen=True, slots=True)
class Key:
    status: str
    secret: str
    key_id: str
    merchant_id: str
    method: str
    path: str

    def __repr__(self) -> str:
        return f"<Key {self.key_id}>"

    def authorize(self, authorization: str = "") -> str:
        """The line with which a proxy asks for the key's own route."""
        return ask_for(authorization or f"Bearer {self.secret}", self.method, self.path)

    def basic(self) -> str:
        return self.authorize("Basic " + b64encode(f"{self.merchant_id}:{self.secret}".encode()).decode())

    def whoami(self) -> str:
        return f"GET\t/v1/whoami\tAuthorization: Bearer {self.secret}"

    def malformed(self) -> str:
        """The same with a wrong checksum: its last character is another one."""
        other = "a" if self.secret[-1] != "a" else "b"
        return self.authorize(f"Bearer {self.secret[:-1]}{other}")


@dataclass(slots=True)
class Keyring:
    """Usable keys and disabled ones of an installation."""

    usable: list[Key]
    disabled: list[Key]

    @classmethod
    def of(cls, installation: Installation, *, usable: int) -> "Keyring":
        rows = map(json.loads, installation.ask("bench.gateway.keyring").splitlines())
        keys = [Key(*row) for row in rows]
        found = [key for key in keys if key.status == "enabled"][:usable]
        if len(found) < usable:
            raise BenchError(f"{len(found):,} of the keys are usable, not {usable:,}")
        return cls(found, [key for key in keys if key.status == "disabled"])

    def retire(self, keys: list[Key]) -> None:
        """Count these as disabled from now on."""
        retired = {key.key_id for key in keys}
        self.usable = [key for key in self.usable if key.key_id not in retired]
        self.disabled += keys


def ask_for(authorization: str, method: str, path: str) -> str:
    """The line with which nginx asks whether such a request may pass."""
    return f"GET\t/v1/authorize\tAuthorization: {authorization}\tX-Original-Method: {method}\tX-Original-URI: {path}"


def unknown_keys(count: int, random: Random) -> list[str]:
    """Texts with a right checksum that nobody ever issued."""
    payloads = ("sk_live_" + "".join(random.choices(ALPHABET, k=RANDOM_LENGTH)) for _ in range(count))
    return [payload + checksum(payload) for payload in payloads]


def write(path: Path, lines: Iterable[str]) -> Path:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def as_bytes(line: str) -> bytes:
    """The request on one line as it goes over the wire."""
    method, path, *headers = line.split("\t")
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()
