"""`python -m bench.launch MODULE:APPLICATION`: the product's own server around another application.

Everything that merchantadmin.server sets stays as it is, the threads as `manage.py serve` chooses them for the database
of the environment; so two applications that are compared differ in nothing but themselves.
"""

import os
import subprocess
import sys
from typing import Any
from unittest.mock import patch

from granian import Granian

from merchantadmin import server

# In a process of its own: the worker is a fork of this one, and may belong to another Django project.
THREADS = """
import django; django.setup()
from django.db import connection
from keys.management.commands.serve import BLOCKING_THREADS
print(BLOCKING_THREADS[connection.vendor])
"""


def main(target: str) -> None:
    def around(product: str, **given: Any) -> Any:
        return Granian(target, **given | {"factory": False})

    with patch.object(server, "Granian", around):
        server.serve(port=int(os.environ["PORT"]), workers=1, blocking_threads=threads(), drain=None)


def threads() -> int:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "merchantadmin.settings"}
    command = [sys.executable, "-c", THREADS]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    return int(answer.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
