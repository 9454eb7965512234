"""Watches pods, namespaces and NetworkPolicies of the local cluster, and has its nodes enforce them until killed."""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

from deploy.local.netpol import nft
from deploy.local.netpol.enforcer import Enforcer, Load
from deploy.local.netpol.ruleset import render
from deploy.local.network import NAMESPACES
from deploy.local.topology import NODES
from shared.kubernetes.client import Cluster
from shared.kubernetes.informer import Informer
from shared.objects import resources
from shared.process import json_log


async def enforce(kubeconfig: str, network_namespaces: Mapping[str, Path], load: Load) -> None:
    """Enforce the NetworkPolicies of a cluster; while its API does not answer, the last known rules stay in force.

    Args:
        kubeconfig: How to reach the cluster.
        network_namespaces: File of each node's network namespace, by the node's name.
        load: Loads a ruleset into such a namespace.
    """

    def ruleset(node: str) -> str:
        return render(node, pods.objects.values(), namespaces.objects.values(), policies.objects.values())

    enforcer = Enforcer(network_namespaces, ruleset, load)
    async with await Cluster.connect(user_agent="local-netpol", kubeconfig=kubeconfig) as cluster:
        pods = Informer(cluster, resources.PODS, enforcer.note_change)
        namespaces = Informer(cluster, resources.NAMESPACES, enforcer.note_change)
        policies = Informer(cluster, resources.NETWORK_POLICIES, enforcer.note_change)
        async with asyncio.TaskGroup() as tasks:
            for informer in (pods, namespaces, policies):
                tasks.create_task(informer.run())
            for informer in (pods, namespaces, policies):
                await informer.synced.wait()
            await enforcer.run()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.netpol", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, help="how to reach the cluster")
    arguments = parser.parse_args()
    json_log.configure("netpol")
    network_namespaces = {node.name: NAMESPACES / node.interface for node in NODES}
    asyncio.run(enforce(arguments.kubeconfig, network_namespaces, nft.load))


if __name__ == "__main__":
    main()
