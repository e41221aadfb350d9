"""Each change of state as people are offered it: where it leads from and to, who may take it, and what takes it.

The console's pages name the step that they are for; the Django admin and the commands go by these.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from keys import lifecycle, merchants, states
from keys.access import Step
from keys.history import Actor
from keys.models import ApiKey, Merchant
from keys.states import Transition

Subject = TypeVar("Subject", Merchant, ApiKey)


@dataclass(frozen=True, slots=True)
class Move(ABC, Generic[Subject]):
    transition: Transition
    allowed_by: Step

    @property
    def name(self) -> str:
        return self.transition.name

    @property
    def is_final(self) -> bool:
        return self.transition.is_final

    def is_possible(self, subject: Subject) -> bool:
        return self.transition.is_possible(subject.status)

    @abstractmethod
    def take(self, subject: Subject, *, actor: Actor, reason: str) -> Subject:
        """Raises IllegalTransition where it is not possible, or no longer."""

    @abstractmethod
    def take_many(self, subjects: Collection[Subject], *, actor: Actor, reason: str) -> set[UUID]:
        """Take it with those for which it is possible, in one transaction; returns their ids."""


class MerchantMove(Move[Merchant]):
    def take(self, subject: Merchant, *, actor: Actor, reason: str) -> Merchant:
        return merchants.move(merchant=subject, transition=self.transition, actor=actor, reason=reason)

    def take_many(self, subjects: Collection[Merchant], *, actor: Actor, reason: str) -> set[UUID]:
        return merchants.move_many(accounts=subjects, transition=self.transition, actor=actor, reason=reason)


class ApiKeyMove(Move[ApiKey]):
    def take(self, subject: ApiKey, *, actor: Actor, reason: str) -> ApiKey:
        return lifecycle.move(key=subject, transition=self.transition, actor=actor, reason=reason)

    def take_many(self, subjects: Collection[ApiKey], *, actor: Actor, reason: str) -> set[UUID]:
        return lifecycle.move_many(keys=subjects, transition=self.transition, actor=actor, reason=reason)


DISABLE_MERCHANT = MerchantMove(states.DISABLE_MERCHANT, Step.DISABLE_MERCHANT)
ENABLE_MERCHANT = MerchantMove(states.ENABLE_MERCHANT, Step.ENABLE_MERCHANT)
DISABLE_KEY = ApiKeyMove(states.DISABLE_KEY, Step.DISABLE_KEY)
ENABLE_KEY = ApiKeyMove(states.ENABLE_KEY, Step.ENABLE_KEY)
REVOKE_KEY = ApiKeyMove(states.REVOKE_KEY, Step.REVOKE_KEY)
