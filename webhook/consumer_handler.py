"""Decides reviews of consumers, and finds out first what that takes and no watch has told yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from webhook.admission import consumers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.consumers.targets import Target
    from shared.objects.resources import Key, Object
    from webhook.admission.access_question import Question
    from webhook.admission.review import AdmissionRequest, Decision


class Storages(Protocol):
    """The SessionStorages that are known."""

    @property
    def objects(self) -> Mapping[Key, Object]:
        """Return all of them; what becomes known later is seen in it."""


class StorageLookup(Protocol):
    """Makes a storage known that no watch has told of."""

    async def await_known(self, key: Key) -> None:
        """Have a storage among those that are known, if it exists and can be read in time."""


class Access(Protocol):
    """Knows who may use which storage."""

    async def may_use(self, question: Question) -> bool | None:
        """Tell whether the user has the right; None if that cannot be found out now."""


class ConsumerHandler:
    """Decides what becomes of a consumer that is written."""

    def __init__(self, storages: Storages, lookup: StorageLookup, access: Access, default_target: Target) -> None:
        """Take what is known, and what can be asked.

        Args:
            storages: The SessionStorages that are known.
            lookup: Asked about a storage that is not.
            access: Asked whether an author may use the storage of another namespace.
            default_target: For consumers that do not say which of their parts are meant.
        """
        self._storages = storages
        self._lookup = lookup
        self._access = access
        self._default_target = default_target

    async def decide(self, request: AdmissionRequest) -> Decision:
        """Decide; mostly nothing has to be found out, and then nothing is waited for."""
        writing, storages = consumers.writing_of(request), self._storages.objects
        if writing.reference is not None and writing.reference.key not in storages:
            await self._lookup.await_known(writing.reference.key)
        question = consumers.question(writing, storages)
        may_use = await self._access.may_use(question) if question else False
        return consumers.decide(writing, storages, self._default_target, may_use=may_use)
