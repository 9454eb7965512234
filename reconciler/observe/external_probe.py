"""Dials a user's own store, with the credential of the user's Secret and, if that fails, as consumers do now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.state.external_store import ExternalFacts, login_from_connection, login_from_secret
from reconciler.state.rotation_record import revision_of
from reconciler.valkey import external_store
from shared.session_storage.endpoint import Endpoint

if TYPE_CHECKING:
    from shared.objects.resources import Object
    from shared.session_storage.models import External


async def probe(
    external: External, secret: Object | None, connection: Object | None, *, serves_tls: bool
) -> ExternalFacts:
    """Find out whether consumers can use a store, by the Secret that the user names and by the connection Secret."""
    endpoint, login = Endpoint.of_url(external.url), login_from_secret(external, secret)
    published = login_from_connection(connection) if connection is not None else None
    dialled = await external_store.dial(endpoint, login) if login is not None else None
    dialled_as_published = None
    if dialled is not None and not dialled.is_ok and published is not None and published != login:
        dialled_as_published = await external_store.dial(endpoint, published)
    return ExternalFacts(
        login=login,
        has_secret=secret is not None,
        revision=revision_of(secret) if secret is not None else "",
        dialled=dialled,
        published_login=published,
        dialled_as_published=dialled_as_published,
        serves_tls=serves_tls,
    )
