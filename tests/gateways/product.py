"""The product behind the servers: it stops and starts again on the same port and the same data."""

from pathlib import Path

from tests.gateways.ports import lasting_port
from tests.installation import PATIENCE_SECONDS, Installation, bring_static_files


class Product(Installation):
    """`manage.py serve` on SQLite, with one trusted proxy in front."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, f"sqlite:///{data / 'merchantadmin.sqlite3'}")
        bring_static_files(data)
        self.port = lasting_port()
        self.environment |= {"PORT": str(self.port), "TRUSTED_PROXY_COUNT": "1"}

    def begin(self) -> None:
        self.wait_for_answer(self.start())

    def end(self) -> None:
        """Stop, with requests under way. How gently it does is the matter of tests/test_serve_process.py."""
        process = self.processes[-1]
        process.terminate()
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, said
        assert "Traceback" not in said, said
