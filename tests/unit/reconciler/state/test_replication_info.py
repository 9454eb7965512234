"""Valkey's INFO, as version 9.1 writes it."""

from __future__ import annotations

from reconciler.state.replication_info import AttachedReplica, info_from, replication_from

PRIMARY = """\
# Replication\r
role:master\r
connected_slaves:2\r
slave0:ip=10.1.0.2,port=6379,state=online,offset=56,lag=1,type=replica\r
slave1:ip=fd00::3,port=6379,state=wait_bgsave,offset=0,lag=0,type=replica\r
replicas_waiting_psync:0\r
master_replid:12e4567890123456789012345678901234567890\r
master_replid2:0000000000000000000000000000000000000000\r
master_repl_offset:56\r
\r
# Keyspace\r
db0:keys=3,expires=1,avg_ttl=0\r
db5:keys=4,expires=0,avg_ttl=0\r
"""
REPLICA = """\
role:slave\r
master_host:fd00::1\r
master_link_status:up\r
master_last_io_seconds_ago:1\r
slave_repl_offset:56\r
connected_slaves:0\r
repl_backlog_histlen:14\r
"""


def test_a_primary_reports_its_replicas_and_its_keys() -> None:
    found = replication_from(info_from(PRIMARY))
    assert found.replicas == (
        AttachedReplica("10.1.0.2", is_online=True),
        AttachedReplica("fd00::3", is_online=False),
    )
    assert (found.lineage, found.former_lineage) == ("12e4567890123456789012345678901234567890", "")
    assert (found.offset, found.keys, found.is_linked, found.silence) == (56, 7, False, None)


def test_an_instance_says_whether_keys_without_an_end_are_among_its_keys() -> None:
    mixed, ending = (replication_from(info_from(text)) for text in (PRIMARY, PRIMARY.replace("expires=0", "expires=4")))
    assert (mixed.keys, mixed.ending_keys, mixed.has_lasting_keys) == (7, 1, True)
    every = replication_from(info_from(PRIMARY.replace("expires=0", "expires=4").replace("expires=1", "expires=3")))
    assert (ending.has_lasting_keys, every.has_lasting_keys) == (True, False)
    assert not replication_from(info_from(REPLICA)).has_lasting_keys


def test_a_primary_counts_the_replicas_for_its_fence_and_without_a_fence_those_online_count() -> None:
    assert replication_from(info_from(PRIMARY)).good_replicas == 1
    fenced = PRIMARY.replace("slave0:", "min_slaves_good_slaves:0\r\nslave0:")
    assert replication_from(info_from(fenced)).good_replicas == 0


def test_a_replica_reports_its_primary() -> None:
    found = replication_from(info_from(REPLICA))
    assert (found.upstream, found.is_linked, found.silence, found.down_for) == ("fd00::1", True, 1, None)
    assert (found.replicas, found.is_empty, found.is_streaming) == ((), True, True)


def test_a_replica_reports_that_it_receives_a_copy() -> None:
    found = replication_from(info_from(REPLICA.replace("status:up", "status:down\r\nmaster_sync_in_progress:1")))
    assert (found.is_linked, found.is_copying) == (False, True)
    assert not replication_from(info_from(REPLICA + "master_sync_in_progress:0\r\n")).is_copying


def test_a_replica_that_has_loaded_the_snapshot_may_still_wait_for_newer_writes() -> None:
    found = replication_from(info_from(REPLICA.replace("histlen:14", "histlen:0")))
    assert (found.is_linked, found.is_streaming) == (True, False)
