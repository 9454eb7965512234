"""Dials a user's own store, as the user says and, if that fails, as consumers do now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reconciler.state.external_secret import SecretProblem, connection_of_consumers, connection_of_user
from reconciler.state.external_store import ExternalFacts
from reconciler.valkey.external_store import DIAL_SECONDS

if TYPE_CHECKING:
    from reconciler.valkey.external_store import Dial
    from shared.objects.resources import Object
    from shared.session_storage.models import External


async def probe(
    dial: Dial,
    namespace: str,
    external: External,
    secret: Object | None,
    connection: Object | None,
) -> ExternalFacts:
    """Find out whether consumers can use a store, by what the user names and by the connection Secret."""
    published = connection_of_consumers(namespace, connection) if connection is not None else None
    wanted = connection_of_user(external, namespace, secret)
    if isinstance(wanted, SecretProblem):
        return ExternalFacts(problem=wanted, published=published)
    has_moved = published is not None and published.endpoint != wanted.endpoint
    # For both dials together; the second one needs its share where the first one may hang.
    end = asyncio.get_running_loop().time() + DIAL_SECONDS
    first_end = end - DIAL_SECONDS / 2 if has_moved else end
    dialled = await dial(namespace, wanted.endpoint, wanted.login, first_end)
    dialled_as_published = None
    may_fare_better = not dialled.is_ok and (has_moved or dialled.may_differ_by_login)
    if published is not None and published != wanted and may_fare_better:
        dialled_as_published = await dial(namespace, published.endpoint, published.login, end)
    return ExternalFacts(
        connection=wanted,
        dialled=dialled,
        published=published,
        dialled_as_published=dialled_as_published,
    )
