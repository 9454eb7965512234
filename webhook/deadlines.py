"""How much of the time that API servers wait each part of a decision may take. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Times within which the webhook has what a decision needs, so that its answer comes while API servers wait for it.

    One decision may read a storage and then ask for a right; a fifth of the time is left for everything else.

    Attributes:
        answer_seconds: How long API servers wait for an answer: `timeoutSeconds` of the webhook configuration.
    """

    answer_seconds: float

    @property
    def access_seconds(self) -> float:
        """How long to wait for the API server's answer whether a user has a right."""
        return 0.6 * self.answer_seconds

    @property
    def read_seconds(self) -> float:
        """How long to wait for a storage that the cache lacks."""
        return 0.2 * self.answer_seconds
