"""Work that may have to wait for the database, kept apart from the threads that verify keys."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from django.db import connection

Given = TypeVar("Given")
Result = TypeVar("Result")

PATIENCE_SECONDS = 10.0
AT_ONCE = 2


class Apart(Generic[Given, Result]):
    """Does `work` in a thread of its own, with a database connection of its own; whoever called waits for a while.

    A database that does not answer keeps `at_once` such threads waiting, and everybody else is told so immediately.
    """

    def __init__(
        self,
        work: Callable[[Given], Result],
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        at_once: int = AT_ONCE,
    ) -> None:
        self._work = work
        self._patience_seconds = patience_seconds
        self._places = threading.Semaphore(at_once)

    def __call__(self, given: Given) -> Result:
        """Raises what `work` raises, and TimeoutError; the work may then still be done, or may not."""
        if not self._places.acquire(blocking=False):
            raise TimeoutError("others are waiting for the database already")
        future: Future[Result] = Future()
        threading.Thread(target=self._run, args=(given, future), name="apart", daemon=True).start()
        try:
            return future.result(self._patience_seconds)
        except TimeoutError as error:
            raise TimeoutError("the database took too long") from error

    def _run(self, given: Given, future: Future[Result]) -> None:
        try:
            try:
                result = self._work(given)
            finally:
                connection.close()
                self._places.release()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
