"""Programs in pods have all that they need, and no rotation waits for them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from deploy.demo.images import Images
from deploy.demo.kube import Kube
from shared import names
from tests.chaos.api import Api
from tests.chaos.programs import ROOT, SOURCES, Program, manifest, sources
from tests.chaos.stand import Stand


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_programs_need_nothing_but_python_and_each_other() -> None:
    theirs = {source.removesuffix(".py").replace("/", ".") for source in SOURCES}
    for source in SOURCES:
        assert all(name in theirs or name.split(".")[0] in sys.stdlib_module_names for name in imported(source))


def test_a_pod_has_all_programs_and_the_connection_secret_and_is_no_consumer() -> None:
    stand = Stand(object.__new__(Kube), object.__new__(Api), Images.of({}), "large")
    pod = manifest(Program(stand, "tests.chaos.writer", {"KEY_PREFIX": "w:"}), "node3", {"hostname": "here"})
    programs, connection = pod["spec"]["volumes"]
    assert {item["key"]: item["path"] for item in programs["configMap"]["items"]}.keys() == sources()["data"].keys()
    assert connection["secret"]["secretName"] == names.connection_secret("large")
    assert names.LABEL_CONSUMER_OF not in pod["metadata"]["labels"]
    assert (pod["metadata"]["name"], pod["spec"]["nodeName"], pod["spec"]["hostname"]) == (
        "writer-large",
        "node3",
        "here",
    )
