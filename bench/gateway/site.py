"""Where the gateway is measured: its installations on one database, and the cores for each."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.cores import Plan
from bench.databases import Addresses, prepared
from bench.gateway.loads import USABLE, Keyring
from bench.installation import Installation
from bench.sizes import Size

# Some runs disable keys, and data that was kept is used again.
SPARE_KEYS = 600


@dataclass
class Site:
    """`tell` says what is being done at the moment, for a person who waits."""

    vendor: str
    folder: Path
    address_of: Addresses
    options: Namespace
    plan: Plan
    tell: Callable[[str], None]

    @cached_property
    def installation(self) -> Installation:
        """The one with as many usable keys as were asked for."""
        self.tell(f"Preparing {self.options.gateway_keys:,} usable keys…")
        keys = round(self.options.gateway_keys / USABLE) + SPARE_KEYS
        return self.prepare("gateway", Size(max(1, keys // 2), keys, 0))

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring.of(self.installation, usable=self.options.gateway_keys)

    def prepare(self, name: str, size: Size) -> Installation:
        return prepared(name, size=size, folder=self.folder, address_of=self.address_of)
