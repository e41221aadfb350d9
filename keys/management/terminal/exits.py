"""What a command ends with: the same numbers for every command made of subcommands, and for `rotate_encryption`."""

from enum import IntEnum

from django.core.management.base import CommandError

from keys.errors import AlreadyCreated, DomainError, IllegalTransition, NotAllowed, StaleEdit

CONFLICTS = (AlreadyCreated, IllegalTransition, StaleEdit)


class Exit(IntEnum):
    DONE = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    FORBIDDEN = 5
    UNAVAILABLE = 6
    INTERRUPTED = 130
    PIPE_CLOSED = 141

    @property
    def meaning(self) -> str:
        return {
            Exit.DONE: "Done, or nothing was left to do.",
            Exit.REFUSED: "A rule refuses it, or a question was not answered with yes.",
            Exit.USAGE: "The command line cannot be understood.",
            Exit.NOT_FOUND: "There is nothing with this ID, or nothing that the person may see.",
            Exit.CONFLICT: "The state does not allow it, because somebody else was first.",
            Exit.FORBIDDEN: "The person of `--actor` may see it, but not do it.",
            Exit.UNAVAILABLE: "The database, a file or the standard output cannot be used.",
            Exit.INTERRUPTED: "Ctrl-C. What is done is done.",
            Exit.PIPE_CLOSED: "Whoever read the output has stopped reading, as `head` does.",
        }[self]


def failure(message: str, status: Exit) -> CommandError:
    return CommandError(message, returncode=status)


def usage_error(message: str) -> CommandError:
    return failure(message, Exit.USAGE)


def refusal(error: DomainError) -> CommandError:
    """A rule's own words, with the exit code of its kind."""
    if isinstance(error, NotAllowed):
        return failure(str(error), Exit.FORBIDDEN)
    return failure(str(error), Exit.CONFLICT if isinstance(error, CONFLICTS) else Exit.REFUSED)
