"""Which keys an instance may remove: any, unless an auth server keeps keys without an end in the storage."""

from __future__ import annotations

import pytest

from reconciler.manifests import valkey_config
from reconciler.manifests.eviction import EVICTION_FILE, Eviction, eviction_for
from reconciler.manifests.storage import Storage
from shared.objects.resources import Object

ANY, ENDING = Eviction.ANY_KEY, Eviction.ENDING_KEYS


def config(eviction: Eviction) -> Object:
    return valkey_config.config_map(Storage("mine", "team", "uid"), 0, [0], "10.0.0.9", eviction)


@pytest.mark.parametrize(
    ("before", "has_auth_data", "has_lasting_keys", "after"),
    [
        (None, False, False, ANY),
        (None, True, False, ENDING),
        (None, None, None, ANY),
        (ANY, True, False, ENDING),
        (ANY, None, None, ANY),
        pytest.param(ANY, False, True, ANY, id="keys of which no auth server was ever known"),
        (ENDING, True, False, ENDING),
        pytest.param(ENDING, None, False, ENDING, id="in doubt about auth servers everything is kept"),
        pytest.param(ENDING, False, True, ENDING, id="its data is still there"),
        pytest.param(ENDING, False, None, ENDING, id="the primary does not tell"),
        pytest.param(ENDING, False, False, ANY, id="the last auth server has gone, and its data too"),
    ],
)
def test_keys_without_an_end_stay_as_long_as_an_auth_server_may_need_them(
    before: Eviction | None, after: Eviction, *, has_auth_data: bool | None, has_lasting_keys: bool | None
) -> None:
    present = config(before) if before is not None else None
    found = eviction_for(present, has_auth_data=has_auth_data, has_lasting_keys=has_lasting_keys)
    assert found is after


def test_a_config_map_of_a_former_release_says_nothing_of_it() -> None:
    former = config(ANY)
    del former["data"][EVICTION_FILE]
    assert eviction_for(former, has_auth_data=None, has_lasting_keys=True) is ANY


def test_the_configuration_that_all_instances_share_does_not_depend_on_it() -> None:
    assert config(ANY)["data"] | {EVICTION_FILE: "volatile-lru"} == config(ENDING)["data"]
