"""What `python -m tests.chaos` says before it touches anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.demo.errors import DemoError
from deploy.demo.kube import Kube
from deploy.local import network, paths
from tests.chaos import __main__ as command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def test_without_a_cluster_it_says_what_starts_one_and_touches_no_link(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def of(environ: Mapping[str, str]) -> Kube:
        return Kube(kubectl=("sh", "-c", "echo no such server >&2; exit 1"), helm="", environment={}, is_local=True)

    monkeypatch.setattr(Kube, "of", of)
    monkeypatch.setattr(network, "INTERFACES", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert paths.is_local({})
    with pytest.raises(DemoError, match=r"not up \(`make cluster` starts it\): no such server"):
        command.run(command.parser().parse_args([]))
