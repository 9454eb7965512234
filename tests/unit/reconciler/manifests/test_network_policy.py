"""What a platform team adds to the NetworkPolicy of every storage."""

from __future__ import annotations

from typing import Any

from reconciler.manifests.network_policy import Peers, network_policy
from reconciler.manifests.network_policy_settings import NetworkPolicySettings
from reconciler.manifests.storage import Storage
from shared.objects.resources import Object

STORAGE = Storage("mine", "team", "uid-1")
PEERS = Peers("session-storage-system", {"app.kubernetes.io/component": "reconciler"})


def spec(**said: Any) -> Object:
    found: Object = network_policy(STORAGE, PEERS, (), NetworkPolicySettings.model_validate(said))["spec"]
    return found


def test_further_rules_stand_beside_the_products_own() -> None:
    backup = {"from": [{"namespaceSelector": {"matchLabels": {"team": "backup"}}}], "ports": [{"port": 6379}]}
    store = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 443}]}
    plain, more = spec(), spec(extraIngress=[backup], extraEgress=[store])
    assert more["ingress"][:1] == plain["ingress"]
    assert more["egress"][:2] == plain["egress"]
    assert more["ingress"][1:] == [{**backup, "ports": [{"protocol": "TCP", "port": 6379}]}]
    assert more["egress"][2:] == [{**store, "ports": [{"protocol": "TCP", "port": 443}]}]


def test_rules_are_as_the_api_server_stores_them_so_that_none_looks_changed() -> None:
    everything: Object = {
        "from": [{"podSelector": {}, "namespaceSelector": {"matchLabels": {}, "matchExpressions": []}}]
    }
    asks = {"key": "a", "operator": "Exists", "values": []}
    some = {"from": [{"podSelector": {"matchExpressions": [asks]}}], "ports": []}
    ports = [{"protocol": "UDP", "port": "dns", "endPort": None}, {"port": 8000, "endPort": 8010}]
    ingress = spec(extraIngress=[everything, some, {"from": [], "ports": ports}, {}])["ingress"][1:]
    assert ingress == [
        {"from": [{"podSelector": {}, "namespaceSelector": {}}]},
        {"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}]},
        {"ports": [{"protocol": "UDP", "port": "dns"}, {"protocol": "TCP", "port": 8000, "endPort": 8010}]},
        {},
    ]
