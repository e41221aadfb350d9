"""The HTTP server: granian on loopback, stopped by one signal and leaving nothing behind.

Two things are added to granian. Ctrl-C reaches every process of the terminal, and the main process then sends each
worker a SIGTERM of its own; granian's handler, run a second time inside itself, waits for its own lock for ever. So
all of them block these signals, and a thread of ours takes the first of them and no other. A worker leaves Ctrl-C
to the main process, which would otherwise find it gone before it knows why. And a worker whose main process was killed
would go on holding the port: it stops by itself.

That a worker takes too long to stop is for us to see, not for granian: a thread of its own waits for the worker too,
and where the machine is busy that one may have heard of its end while the main one still takes it for alive.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from keys.gateway.drain import Drain

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How long requests under way may take to finish once the server is told to stop.
GRACE_SECONDS = 5
# A SIGTERM for the whole group reaches a worker as early as the main process, which has to be first to act on it.
AFTER_MAIN_SECONDS = 0.2
NICENESS = 5
# What libraries read as they go: libpq, OpenSSL, Python and the C library.
KEPT_VARIABLES = ("PG", "SSL_", "OPENSSL_", "PYTHON", "LC_", "LANG", "TZ", "HOME", "PATH", "TMPDIR")


def serve(*, port: int, workers: int, blocking_threads: int, drain: "Drain | None") -> None:
    """Answer requests until a stop signal; returns when all that were under way are answered.

    `drain` runs beside the workers, in the main process, which has nothing else to do.
    """
    server = Granian(
        "merchantadmin.server:application",
        factory=True,
        address=HOST,
        port=port,
        interface=Interfaces.WSGI,
        # Bodies of HTTP/2 need not say that they are there.
        http=HTTPModes.http1,
        workers=workers,
        blocking_threads=blocking_threads,
        websockets=False,
        log_level=LogLevels.warning,
    )
    # It counts processors, and warns of threads that do nothing but wait.
    logging.getLogger("_granian").addFilter(lambda record: "Python threads" not in record.getMessage())

    interrupt: Callable[[], object] = server.signal_handler_interrupt

    def stop() -> None:
        interrupt()
        time.sleep(GRACE_SECONDS)
        for worker in multiprocessing.active_children():
            logger.warning("Requests that took more than %d s to finish were cut off", GRACE_SECONDS)
            worker.kill()

    take_one_stop_signal(stop, among=STOP_SIGNALS)
    draining = threading.Thread(target=_drain, args=(drain, workers), name="drain")
    if drain:
        draining.start()
    try:
        server.serve()
    finally:
        if drain:
            drain.stop()
            draining.join()


def _drain(drain: "Drain", workers: int) -> None:
    """Drain once all workers are there: they are forks of this process, and a fork must not find a thread at work."""
    while len(multiprocessing.active_children()) < workers:
        if drain.is_stopped:
            return
        time.sleep(0.02)
    if sys.platform == "linux":
        # Requests are answered first, and recorded when there is time.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    drain.run()


def application() -> "WSGIApplication":
    """What a worker process loads before it listens."""
    before_granian = signal.getsignal(signal.SIGTERM)

    def stop() -> None:
        time.sleep(AFTER_MAIN_SECONDS)
        handler = signal.getsignal(signal.SIGTERM)
        if handler is before_granian or not callable(handler):
            os._exit(0)  # Not listening yet: nobody waits for an answer.
        from keys.gateway.processes import retire  # noqa: PLC0415

        retire()
        handler(signal.SIGTERM, None)

    take_one_stop_signal(stop, among=(signal.SIGTERM,))
    threading.Thread(target=_outlive_nobody, args=(os.getppid(),), daemon=True).start()
    from merchantadmin import wsgi  # noqa: PLC0415

    wsgi.gateway()
    forget_secrets()
    return wsgi.application


def forget_secrets() -> None:
    """Clear the environment of all that nobody reads any more: granian puts it into the environ of every request."""
    for name in list(os.environ):
        if not name.startswith(KEPT_VARIABLES):
            del os.environ[name]


def take_one_stop_signal(stop: Callable[[], None], *, among: Collection[signal.Signals]) -> None:
    """Have `stop` called, once, from a thread of its own, at the first of these signals; no other stops the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def wait() -> None:
        signal.sigwait(among)
        stop()

    threading.Thread(target=wait, daemon=True).start()


def _outlive_nobody(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
