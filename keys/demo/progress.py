"""Progress of long loads: a bar on a terminal, a line now and then anywhere else, and how fast each step was."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 10


class ProgressReport:
    """Tells how far each step of a load is. Use it as a context; `step` begins a step, `advance` goes on with it."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._console = Console(file=file or sys.stdout, highlight=False)
        self._bar: Progress | None = None
        self._label, self._total, self._done, self._told, self._began = "", 0, 0, 0, 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:<16}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, label: str, total: int) -> None:
        """Begin a step of `total` units."""
        self._label, self._total, self._done, self._told = label, total, 0, 0
        self._began = time.monotonic()
        if self._bar:
            self._bar.add_task(label, total=total)

    def advance(self, count: int) -> None:
        self._done += count
        if self._bar:
            self._bar.advance(self._bar.task_ids[-1], count)
        if self._done >= self._total:
            seconds = time.monotonic() - self._began
            pace = f"{self._done:,} in {seconds:.1f} s, {self._done / max(seconds, 0.001):,.0f} a second"
            self._console.print(f"{self._label}: {pace if self._total > 1 else f'{seconds:.1f} s'}")
        elif not self._bar and (tenths := LINES * self._done // self._total) > self._told:
            self._told = tenths
            self._console.print(f"{self._label}: {self._done:,} of {self._total:,}")
