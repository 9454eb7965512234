"""Dials a user's own store, with the credential of the user's Secret and, if that fails, as consumers do now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reconciler.state.external_store import ExternalFacts, login_from_connection, login_from_secret
from reconciler.state.rotation_record import revision_of
from reconciler.valkey.external_store import DIAL_SECONDS
from shared.session_storage.endpoint import Endpoint

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
    """Find out whether consumers can use a store, by the Secret that the user names and by the connection Secret."""
    endpoint, login = Endpoint.of_url(external.url), login_from_secret(external, secret)
    published = login_from_connection(connection) if connection is not None else None
    deadline = asyncio.get_running_loop().time() + DIAL_SECONDS  # for both dials together
    dialled = await dial(namespace, endpoint, login, deadline) if login is not None else None
    dialled_as_published = None
    if dialled is not None and dialled.may_differ_by_login and published is not None and published != login:
        dialled_as_published = await dial(namespace, endpoint, published, deadline)
    return ExternalFacts(
        login=login,
        has_secret=secret is not None,
        revision=revision_of(secret) if secret is not None else "",
        dialled=dialled,
        published_login=published,
        dialled_as_published=dialled_as_published,
    )
