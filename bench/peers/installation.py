"""The peers' project as an installation of its own: a database, a folder, and a file of requests for each package."""

from dataclasses import dataclass

from bench.installation import Installation


@dataclass(frozen=True, slots=True)
class PeerInstallation(Installation):
    settings: str = "bench.peers.settings"

    def fill(self) -> None:
        self.ask("bench.peers.fill", str(self.size.keys), str(self.data_dir))
