"""Which packets the rules of a partition drop."""

from __future__ import annotations

from tests.chaos import nodes


def test_between_two_sides_every_packet_is_dropped_both_ways() -> None:
    text = nodes.drops_between(["198.18.16.5", "198.18.17.6"], ["198.18.18.7"])
    assert text.count(" drop\n") == 4
    for one in ("198.18.16.5", "198.18.17.6"):
        assert f"ip saddr {one} ip daddr 198.18.18.7 drop\n" in text
        assert f"ip saddr 198.18.18.7 ip daddr {one} drop\n" in text


def test_a_pod_that_is_cut_off_reaches_neither_pods_nor_the_api_server_on_its_own_node() -> None:
    text = nodes.drops_around("198.18.16.5")
    forward, entering = text.split("  chain input")
    assert "ip saddr 198.18.16.5 drop" in forward
    assert "ip daddr 198.18.16.5 drop" in forward
    assert "tcp dport 6443 drop" in entering


def test_its_own_kubelet_still_reaches_it() -> None:
    assert "hook output" not in nodes.drops_around("198.18.16.5")
