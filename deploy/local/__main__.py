"""The command line of the local cluster."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local import cluster, images, nodeservices, packages, paths, profile
from deploy.local.errors import LocalClusterError
from deploy.local.home import Cluster


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    described = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="A local Kubernetes cluster.",
        epilog="The environment may set "
        f"{paths.CLUSTER_VARIABLE} (a number from 0 to {paths.CLUSTERS - 1}: a machine can have several clusters) and "
        f"{nodeservices.PROXY_MODE_VARIABLE} ({' or '.join(nodeservices.ProxyMode)}: how kube-proxy works).",
    )
    commands = described.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the cluster run, with everything on it")
    up.add_argument("--without-vmcp", action="store_true", help="leave out what only VirtualMCPServers need")
    up.add_argument(
        "--profile", default=profile.ORDINARY.name, help=f"what kind of cluster: {' or '.join(profile.PROFILES)}"
    )
    commands.add_parser("down", help="stop the cluster and remove all of it except the builds")
    commands.add_parser("status", help="say which parts are ready; exit status 1 if one is not")
    commands.add_parser("build", help="build programs and images only")
    load = commands.add_parser("load", help="import OCI archives into all nodes")
    load.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    return described


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do what the command line says, and return the exit status."""
    if arguments.command == "build":
        packages.install_missing()
        images.build_all()
        return 0
    local = Cluster.of_this_cache()
    if not paths.is_local(environ):
        print(f"KUBECONFIG is set, so the cluster of {environ['KUBECONFIG']} is used; there is nothing to do.")
        return 0
    if arguments.command == "status":
        return _print_status(local)
    if arguments.command == "up":
        cluster.up(
            local,
            has_vmcp=not arguments.without_vmcp,
            mode=nodeservices.proxy_mode(environ),
            profile=profile.named(arguments.profile),
        )
    elif arguments.command == "down":
        cluster.down(local)
    else:
        cluster.load(local, arguments.archives)
    return 0


def _print_status(local: Cluster) -> int:
    found = cluster.survey(local)
    if not found:
        print("There is no cluster.")
        return 1
    for part, is_well in found.items():
        print(f"{'ready' if is_well else 'NOT READY':9}  {part}")
    print(f"export KUBECONFIG={local.kubeconfig}")
    return 0 if all(found.values()) else 1


def main() -> int:
    """Run, and say what went wrong in one message."""
    try:
        return run(parser().parse_args(), os.environ)
    except LocalClusterError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
