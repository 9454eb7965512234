"""Which claims of a change of the primary a process takes for its own."""

from __future__ import annotations

import pytest

from reconciler.apply.service_claim import PrimaryServices
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.primary_service import PrimaryService
from shared.kubernetes.informer import Informer
from shared.objects.resources import ENDPOINT_SLICES, SERVICES
from tests.support.fakes import FakeApi
from tests.support.storages import NOW, SERVICE, clients_way

CLAIM = PrimaryRecord().claim(1, "PrimaryLost", NOW)


@pytest.mark.parametrize(
    ("forgotten", "writes"),
    [
        ("other", [f"replace services/{SERVICE}"]),
        ("mine", [f"replace endpointslices/{SERVICE}", f"replace services/{SERVICE}"]),
    ],
)
async def test_a_claim_is_the_processs_own_as_long_as_the_storage_exists(forgotten: str, writes: list[str]) -> None:
    """A new storage can have the name of a deleted one, and a claim with the same number."""
    api = FakeApi()
    way = clients_way()
    service = await api.create(SERVICES, way[SERVICES.plural, SERVICE])
    main = await api.create(ENDPOINT_SLICES, way[ENDPOINT_SLICES.plural, SERVICE])
    caches = {each.plural: Informer(api, each) for each in (SERVICES, ENDPOINT_SLICES)}
    services = PrimaryServices(api, caches, lambda: NOW)
    claimed = await services.claim(PrimaryService.of(service, [main]), CLAIM)
    services.forget(("team", forgotten))
    api.writes.clear()
    await services.claim(claimed, claimed.record.claim(1, "PrimaryLost", NOW))
    assert api.writes == writes
