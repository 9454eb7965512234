"""The configuration of an instance; tests/integration/test_acl.py checks that a real Valkey accepts it."""

from __future__ import annotations

import pytest

from reconciler.credentials import identities
from reconciler.credentials.identities import Identity
from reconciler.manifests.start_command import start_command
from reconciler.manifests.valkey_config import topology, valkey_conf
from shared import names
from shared.session_storage.sizes import PRESETS, Size

MIB = 1024 * 1024
DIRECTIVES = dict(line.split(" ", 1) for line in valkey_conf().splitlines())


@pytest.mark.parametrize(
    ("size", "memory", "share"), [(Size.SMALL, 256, 0.60), (Size.MEDIUM, 512, 0.65), (Size.LARGE, 1024, 0.70)]
)
def test_maxmemory_is_the_sizes_share_of_its_memory(size: Size, memory: int, share: float) -> None:
    assert f"'maxmemory {int(memory * MIB * share)}'" in start_command(0, "host", PRESETS[size])
    assert DIRECTIVES["maxmemory-policy"] == "allkeys-lru"


def test_the_configuration_has_what_the_design_promises() -> None:
    found = DIRECTIVES
    assert (found["appendonly"], found["appendfsync"], found["save"]) == ("yes", "everysec", '""')
    assert (found["port"], found["dir"], found["aclfile"]) == ("6379", "/data", "/valkey/live-acl/users.acl")


def test_a_replica_that_is_not_in_sync_refuses_reads_and_probes() -> None:
    assert DIRECTIVES["replica-serve-stale-data"] == "no"


def test_a_primary_pings_three_times_within_the_time_after_which_a_replica_counts_as_lost() -> None:
    assert int(DIRECTIVES["repl-ping-replica-period"]) * 3 == int(DIRECTIVES["min-replicas-max-lag"])


def test_no_directive_appears_twice_and_none_holds_a_secret() -> None:
    assert len(DIRECTIVES) == len(valkey_conf().splitlines())
    assert not {"requirepass", "masterauth", "primaryauth", "user"} & DIRECTIVES.keys()


def test_directives_of_the_size_and_of_the_start_come_last_and_take_precedence() -> None:
    assert list(DIRECTIVES.items())[-1] == ("include", "/valkey/live-acl/start.conf")


@pytest.mark.parametrize("size", Size)
def test_the_backlog_fits_into_the_memory_beside_the_data(size: Size) -> None:
    preset = PRESETS[size]
    assert preset.maxmemory_bytes + 2 * preset.backlog_bytes < preset.memory_mib * MIB


def test_only_a_primary_with_replicas_is_fenced() -> None:
    assert [PRESETS[size].fence for size in Size] == [0, 0, 1]


def test_the_topology_names_the_primary_and_all_instances() -> None:
    assert topology(2, (2, 0, 1), "10.0.0.9") == {"primary": "2", "nodes": "0 1 2", "upstream": "10.0.0.9"}


def test_no_command_contains_a_password() -> None:
    """The instance reads the password from a file as it starts."""
    command = start_command(0, names.valkey_host("mine", "team"), PRESETS[Size.LARGE])
    assert '"primaryauth $(cat /valkey/acl/replication-password)"' in command


def test_a_change_of_rights_changes_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identities.rules()
    monkeypatch.setattr(identities, "IDENTITIES", (Identity("default", "password", "+ping"),))
    assert identities.rules() != before
