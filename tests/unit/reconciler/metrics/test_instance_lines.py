"""What one Valkey server says of itself, under redis_exporter's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.metrics import families
from reconciler.metrics.families import BY_FIELD, OTHER_COMMANDS, TOOLHIVE_COMMANDS
from reconciler.metrics.instance_lines import add_instance, by_label
from reconciler.metrics.lines import FamilyLines, StorageLines
from reconciler.state.instance import Instance, facts_from
from reconciler.state.replication_info import info_from
from reconciler.state.statistics import FIGURES, MAX_DATABASES, MAX_VERSION, CommandCalls, Statistics, statistics_from
from tests.support.exposed import values
from tests.support.storages import pod

INFO = (Path(__file__).parent / "info-of-valkey-9.1.2.txt").read_text()
REPLICA = (
    INFO.replace("role:master", "role:slave")
    + "master_host:10.0.0.9\nmaster_link_status:down\nslave_repl_offset:2900\nmaster_link_down_since_seconds:3\n"
)


def lines_of(info: str | None, *, is_primary: bool = True) -> FamilyLines:
    lines = StorageLines()
    facts = facts_from(info_from(info)) if info is not None else None
    add_instance(lines, ("team", "mine"), Instance(1, pod(1), facts), is_primary=is_primary)
    return lines.encoded()


def value(lines: FamilyLines, name: str) -> float:
    (found,) = values(lines[name]).values()
    return found


def test_every_figure_of_the_look_has_a_family_and_the_reverse() -> None:
    assert set(FIGURES) == BY_FIELD.keys() | {"slave_repl_offset"}


def test_a_servers_own_figures_are_told_as_it_writes_them() -> None:
    lines = lines_of(INFO)
    assert (
        b'redis_memory_used_bytes{namespace="team",storage="mine",pod="mine-valkey-1-0",role="primary"} 1547680\n'
        in (lines["redis_memory_used_bytes"])
    )
    assert {name: value(lines, f"redis_{name}") for name in ("up", "max_clients", "mem_fragmentation_ratio")} == {
        "up": 1,
        "max_clients": 10000,
        "mem_fragmentation_ratio": 4.85,
    }
    assert values(lines["redis_db_keys"], "db") == {("db0",): 3000}
    assert values(lines["redis_db_keys_expiring"], "db") == {("db0",): 2700}
    assert values(lines["redis_instance_info"], "redis_version", "valkey_version") == {("7.2.4", "9.1.2"): 1}
    assert value(lines, "redis_aof_last_write_status") == value(lines, "redis_aof_last_bgrewrite_status") == 1


def test_commands_that_toolhive_does_not_use_are_summed() -> None:
    lines = lines_of(INFO)
    assert values(lines["redis_commands_total"], "cmd") == {
        ("get",): 1,
        ("set",): 3000,
        ("auth",): 5,
        (OTHER_COMMANDS,): 4 + 6 + 7 + 2 + 1,
    }
    durations = values(lines["redis_commands_duration_seconds_total"], "cmd")
    assert durations[("set",)] == pytest.approx(0.006759)
    assert durations[(OTHER_COMMANDS,)] == pytest.approx((2 + 475 + 2704 + 20 + 15) / 1e6)


def test_no_client_can_add_a_label_by_a_command() -> None:
    many = {f"command-{number}": CommandCalls(1, 1) for number in range(400)} | {"get": CommandCalls(2, 2)}
    assert by_label(many) == {"get": CommandCalls(2, 2), OTHER_COMMANDS: CommandCalls(400, 400)}
    assert len(TOOLHIVE_COMMANDS) == 25


def test_a_replica_tells_of_its_link_and_a_primary_does_not() -> None:
    replica, primary = lines_of(REPLICA, is_primary=False), lines_of(INFO)
    assert value(replica, "redis_master_link_up") == 0
    assert value(replica, "redis_slave_repl_offset") == 2900
    assert {"redis_master_link_up", "redis_slave_repl_offset"}.isdisjoint(primary)
    assert values(replica["redis_up"], "role") == {("replica",): 1}


def test_a_failed_write_to_the_file_is_told() -> None:
    lines = lines_of(INFO.replace("aof_last_write_status:ok", "aof_last_write_status:err"))
    assert (value(lines, "redis_aof_last_write_status"), value(lines, "redis_aof_last_bgrewrite_status")) == (0, 1)


def test_of_a_server_that_does_not_respond_only_that_is_told() -> None:
    lines = lines_of(None)
    assert lines.keys() == {families.UP.name}
    assert value(lines, "redis_up") == 0


def test_what_is_no_number_is_left_out() -> None:
    said = statistics_from({"used_memory": 'x"} 1\nforged 2', "connected_clients": "7", "cmdstat_get": "calls=x"})
    assert (dict(said.figures), dict(said.commands), said.used_memory) == ({"connected_clients": "7"}, {}, None)


LARGE = "9" * 400
"""Prometheus reads it as a number out of range, and refuses all of the answer."""


def test_no_server_can_have_prometheus_refuse_what_all_storages_say() -> None:
    said = statistics_from(
        {
            **dict.fromkeys(FIGURES, LARGE),
            "used_memory_rss": f"1.{LARGE}",
            "cmdstat_get": f"calls={LARGE},usec=1,usec_per_call=1.00",
            "cmdstat_set": f"calls=1,usec={LARGE},usec_per_call=1.00",
            "db0": {"keys": LARGE, "expires": "0"},
            "db1": {"keys": "1", "expires": LARGE},
        }
    )
    assert said == Statistics()
    assert statistics_from({"used_memory": "1.5"}).used_memory is None


def test_no_server_can_add_labels_without_end() -> None:
    said = statistics_from(
        {"valkey_version": "9" * 10_000, **{f"db{number}": {"keys": "1", "expires": "0"} for number in range(1000)}}
    )
    assert (len(said.databases), len(said.valkey_version)) == (MAX_DATABASES, MAX_VERSION)


def test_a_version_cannot_end_its_label() -> None:
    lines = lines_of(INFO.replace("valkey_version:9.1.2", 'valkey_version:9"} 1 # \\'))
    assert values(lines["redis_instance_info"], "valkey_version") == {('9"} 1 # \\',): 1}


def test_nothing_is_told_that_is_not_known() -> None:
    lines = StorageLines()
    add_instance(lines, ("team", "mine"), Instance(0, pod(), facts_from({"role": "master"})), is_primary=True)
    assert lines.encoded().keys() == {families.UP.name}
    assert Statistics() == statistics_from({})
