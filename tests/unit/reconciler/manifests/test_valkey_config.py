"""The configuration of an instance; that a real Valkey takes it is in tests/integration/test_acl.py."""

from __future__ import annotations

import pytest

from reconciler.credentials import identities
from reconciler.credentials.identities import Identity
from reconciler.manifests.valkey_config import start_command, topology, valkey_conf
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


def test_what_the_design_promises_stands_there() -> None:
    found = DIRECTIVES
    assert (found["appendonly"], found["appendfsync"], found["save"]) == ("yes", "everysec", '""')
    assert (found["port"], found["dir"], found["aclfile"]) == ("6379", "/data", "/valkey/live-acl/users.acl")


def test_a_replica_that_is_not_in_sync_refuses_reads_and_probes() -> None:
    assert DIRECTIVES["replica-serve-stale-data"] == "no"


def test_a_primary_speaks_three_times_before_a_replica_of_it_counts_no_more() -> None:
    assert int(DIRECTIVES["repl-ping-replica-period"]) * 3 == int(DIRECTIVES["min-replicas-max-lag"])


def test_no_directive_stands_twice_and_none_holds_a_secret() -> None:
    assert len(DIRECTIVES) == len(valkey_conf().splitlines())
    assert not {"requirepass", "masterauth", "primaryauth", "user"} & DIRECTIVES.keys()


def test_what_depends_on_the_size_or_on_the_start_comes_last_and_wins() -> None:
    assert list(DIRECTIVES.items())[-1] == ("include", "/valkey/live-acl/start.conf")


@pytest.mark.parametrize("size", Size)
def test_a_backlog_fits_into_what_the_data_leaves_of_the_memory(size: Size) -> None:
    preset = PRESETS[size]
    assert preset.maxmemory_bytes + 2 * preset.backlog_bytes < preset.memory_mib * MIB


def test_only_a_primary_that_has_replicas_is_fenced() -> None:
    assert [PRESETS[size].fence for size in Size] == [0, 0, 1]


def test_an_instance_is_told_who_is_primary_and_who_else_there_is() -> None:
    assert topology(2, (2, 0, 1)) == {"primary": "2", "nodes": "0 1 2"}


def test_no_password_stands_in_a_command() -> None:
    """It is read from its file as the instance starts."""
    command = start_command(0, names.valkey_host("mine", "team"), PRESETS[Size.LARGE])
    assert '"primaryauth $(cat /valkey/acl/replication-password)"' in command


def test_other_rights_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identities.rules()
    monkeypatch.setattr(identities, "IDENTITIES", (Identity("default", "password", "+ping"),))
    assert identities.rules() != before
