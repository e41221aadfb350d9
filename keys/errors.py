"""What the domain refuses, in words that a person can act on."""


class DomainError(Exception):
    """A refused step: `message` says why, `advice` what to do instead."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class IllegalTransition(DomainError):
    """The state does not allow this step, or somebody else took a step first."""


class StaleEdit(DomainError):
    """Somebody else saved in between.

    `changes` maps a field to what it holds now, and `revision` is the one that holds it: who has seen
    these changes may save over them, and nobody else's.
    """

    def __init__(self, message: str, advice: str, *, changes: dict[str, str], revision: int) -> None:
        super().__init__(message, advice)
        self.changes = changes
        self.revision = revision


class InvalidField(DomainError):
    """A value that cannot be accepted; `field` is the field's name."""

    def __init__(self, field: str, message: str, advice: str = "") -> None:
        super().__init__(message, advice)
        self.field = field


class AlreadyCreated(DomainError):
    """The same submission came twice: the first one made the key."""


class SecretUnavailable(DomainError):
    """The key cannot be shown: revoked, never stored, or the stored text does not match its digest."""


class NotAllowed(DomainError):
    """This person may see it, and may not do it."""


class LastAdministrator(DomainError):
    """Nobody would be left who can manage people."""


class InvitationEnded(DomainError):
    """The link was used, withdrawn or has expired; or it is not for the person who opened it."""
