"""Real processes that work on the test database at the same time.

`python -m tests.race` reads orders from its standard input, one JSON object a line: the name of a function in
tests/racers.py, a number of processes, and arguments. For each order it forks the processes, lets them go at the same
moment, and answers with one line: what each of them returned, or how it died.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60


class Racers:
    """The near end: `racers("disable", processes=8, key=…)` is the list of what the eight processes returned."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def __call__(self, task: str, *, processes: int, **arguments) -> list:
        order = {"task": task, "processes": processes, "arguments": arguments}
        self.process.stdin.write(json.dumps(order, default=str) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the racers are gone: {self.process.wait(TIMEOUT_SECONDS)}"
        return json.loads(answer)


@contextmanager
def racers() -> Iterator[Racers]:
    from django.conf import settings
    from django.db import connection

    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        url = f"sqlite:///{name}"
    else:
        url = urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path=f"/{name}").geturl()
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "merchantadmin.settings",
        "DATABASE_URL": url,
        "DATA_DIR": str(settings.DATA_DIR),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.race"],
        cwd=settings.BASE_DIR,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Racers(process)
        process.stdin.close()
        assert process.wait(TIMEOUT_SECONDS) == 0


def run(order: dict) -> list:
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(order["processes"], timeout=TIMEOUT_SECONDS)
    results = [fork.Pipe(duplex=False) for _ in range(order["processes"])]
    runners = [
        fork.Process(target=race, args=(order, number, together, sender))
        for number, (_, sender) in enumerate(results)
    ]
    for runner in runners:
        runner.start()
    for _, sender in results:
        sender.close()
    return [outcome_of(runner, receiver) for runner, (receiver, _) in zip(runners, results, strict=True)]


def race(order: dict, number: int, together, sender) -> None:
    task = getattr(import_module("tests.racers"), order["task"])
    try:
        outcome = task(number=number, together=together.wait, **order["arguments"])
    except BaseException:
        outcome = {"died": traceback.format_exc()}
    sender.send(outcome)


def outcome_of(runner: multiprocessing.Process, receiver):
    try:
        outcome = receiver.recv()
    except EOFError:
        runner.join(TIMEOUT_SECONDS)
        return {"killed": -(runner.exitcode or 0)}
    runner.join(TIMEOUT_SECONDS)
    return outcome


def serve() -> None:
    import django

    django.setup()
    # Imported once, before the processes are forked.
    import_module("tests.racers")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line)), default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
