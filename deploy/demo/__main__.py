"""Brings the local cluster up unless KUBECONFIG names another, tells the story, and leaves everything running."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from deploy.demo import foreign, story
from deploy.demo.errors import DemoError
from deploy.demo.images import Images
from deploy.demo.kube import Kube
from deploy.demo.narrator import Narrator
from deploy.demo.stage import Stage
from deploy.local import paths
from deploy.local.errors import LocalClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping


def run(environ: Mapping[str, str]) -> None:
    """Tell the story on the cluster that KUBECONFIG names, or on the local one.

    Raises:
        DemoError: A step failed.
        LocalClusterError: A program could not be built.
    """
    if paths.is_local(environ):
        ensure_local_cluster()
    kube = Kube.of(environ)
    if not kube.is_local:
        foreign.require_answer(kube)
    stage = Stage(kube, Images.of(environ), Narrator(lambda text: print(text, flush=True)))
    story.tell(stage)
    stage.narrator.remark(story.farewell(kube.environment["KUBECONFIG"]))


def ensure_local_cluster() -> None:
    """Bring the local cluster up with what the story needs; that command prints its own steps."""
    command = [sys.executable, "-m", "deploy.local", "up", "--without-vmcp"]
    if subprocess.run(command, cwd=paths.REPOSITORY, check=False, stdin=subprocess.DEVNULL).returncode:
        raise DemoError("the local cluster did not come up, for the reason above")


def main() -> int:
    """Run, and say what went wrong in one message."""
    try:
        run(os.environ)
    except (DemoError, LocalClusterError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
