"""Programs in pods have all that they need, and no rotation waits for them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.demo.images import Images
from deploy.demo.kube import Kube
from deploy.local import binaries
from deploy.local.images import CHAOS_WRITER
from shared import names
from shared.names import CONNECTION_KEYS
from tests.chaos.api import Api
from tests.chaos.programs import ROOT, SOURCES, Program, manifest, sources
from tests.chaos.stand import Stand
from tests.chaos.writing import Client

STAND = Stand(object.__new__(Kube), object.__new__(Api), Images.of({}), "large")


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


def test_each_writer_runs_its_own_program_with_the_mounted_password() -> None:
    images = {}
    for client in Client:
        (container,) = manifest(client.program(STAND), "node3", {})["spec"]["containers"]
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        directory, _, file = environment["PASSWORD_FILE"].rpartition("/")
        assert directory in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert file in CONNECTION_KEYS
        assert environment["KEY_PREFIX"] == f"{client}:"
        images[client] = (container["image"], container["command"][-1])
    assert images == {
        Client.GO_REDIS: (CHAOS_WRITER, "/usr/bin/chaos-writer"),
        Client.IMPATIENT: (STAND.images.mcp_server, "tests.chaos.writer"),
    }


def test_go_redis_is_the_version_of_toolhives_proxies() -> None:
    def version(module: Path) -> str:
        (found,) = re.findall(r"^\s+github.com/redis/go-redis/v9 (\S+)", (module / "go.mod").read_text(), re.MULTILINE)
        return str(found)

    assert version(binaries.CHAOS_MODULE) == version(binaries.MODULES / "toolhive")


def test_a_pod_has_all_programs_and_the_connection_secret_and_is_no_consumer() -> None:
    pod = manifest(Program.python(STAND, "tests.chaos.writer", {"KEY_PREFIX": "w:"}), "node3", {"hostname": "here"})
    programs, connection = pod["spec"]["volumes"]
    assert {item["key"]: item["path"] for item in programs["configMap"]["items"]}.keys() == sources()["data"].keys()
    assert connection["secret"]["secretName"] == names.connection_secret("large")
    assert names.LABEL_CONSUMER_OF not in pod["metadata"]["labels"]
    assert (pod["metadata"]["name"], pod["spec"]["nodeName"], pod["spec"]["hostname"]) == (
        "writer-large",
        "node3",
        "here",
    )
