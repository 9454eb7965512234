"""Every exception that this project raises deliberately.

Users and logs may show these messages: none ever holds a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SessionStorageError(Exception):
    """Root of the tree."""


class MalformedReview(SessionStorageError):
    """An AdmissionReview that cannot be answered."""


class Overloaded(SessionStorageError):
    """A review that gave way to others, because all together would have taken too much memory."""

    def __init__(self) -> None:
        super().__init__("too many reviews wait for the API server")


class InvalidSpec(SessionStorageError):
    """An object that its owner must change.

    Attributes:
        problems: One complete sentence for each problem, field path first, as Kubernetes words them.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class InvalidSecret(SessionStorageError):
    """A Secret of a user's that lacks what it is named for; the message names its keys, and repeats no value.

    Attributes:
        reason: The same as one CamelCase word.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class InvalidSettings(SessionStorageError):
    """An installation that cannot start; the message lists every problem."""


class ClusterError(SessionStorageError):
    """The Kubernetes API did not do what it was asked to."""


class NotFound(ClusterError):
    """HTTP 404."""


class AlreadyExists(ClusterError):
    """HTTP 409 on create."""


class Conflict(ClusterError):
    """HTTP 409 on update: somebody else wrote first."""


class Forbidden(ClusterError):
    """HTTP 401 or 403."""


class Rejected(ClusterError):
    """HTTP 400, 405, 413 or 422: the same request again fails again."""


class Expired(ClusterError):
    """HTTP 410: the resourceVersion is gone, list again."""


class Unavailable(ClusterError):
    """HTTP 429 or 5xx, or no connection.

    Attributes:
        retry_after_seconds: How long the server asks clients to wait; None if it does not say.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NoAnswer(Unavailable):
    """No connection, or no answer in time: other requests would fare alike."""


class SessionStoreError(SessionStorageError):
    """Valkey did not do what it was asked to."""


class StoreUnreachable(SessionStoreError):
    """No connection, a time-out, or a server that is still loading its data."""


class StoreErred(StoreUnreachable):
    """The server runs, and answered a command with an error.

    Attributes:
        reply: The answer, without what may be secret in it.
    """

    def __init__(self, message: str, reply: str) -> None:
        super().__init__(message)
        self.reply = reply

    @property
    def kind(self) -> str:
        """The answer's first word, such as `MISCONF` or `BUSY`."""
        return self.reply.partition(" ")[0]


class StoreHungUp(StoreUnreachable):
    """The server closed the connection before it answered, as one does that dies in that instant."""


class StoreDown(StoreUnreachable):
    """The host answers, and says that no server listens there."""


class NameNotFound(SessionStoreError):
    """A name has no address here, or cannot be looked up now; the message is the name."""


class StoreRefused(SessionStoreError):
    """The store refused the credential."""


class StoreMovedOn(SessionStoreError):
    """The store continued another history of writes than the one by which somebody decided."""


class CertificateError(SessionStorageError):
    """A key or certificate is malformed, mismatched or expired."""


def kinds_of(root: type[SessionStorageError]) -> Iterator[type[SessionStorageError]]:
    """List an exception and all that derive from it."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds_of(kind)
