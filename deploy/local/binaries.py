"""Builds the Go programs of the local cluster once per version and says where they are."""

from pathlib import Path

from deploy.local import paths


def binary(name: str) -> Path:
    """Return the program `name`, building it first if the cache lacks it.

    Args:
        name: `kubernetes`, `helm`, `coredns`, `local-path-provisioner`, `thv-operator`,
            `thv-proxyrunner` or `pause`.

    Raises:
        StepFailed: The build failed.
    """
    return paths.builds() / "first" / name
