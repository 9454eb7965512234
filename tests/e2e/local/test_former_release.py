"""Users upgrade from the former release, and roll back: no admission fails, and storages under load lose no write.

It takes about five minutes; the first time, a minute more for the image of the former release.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from deploy.demo import installation
from deploy.demo.installation import CHART, NAMESPACE, RELEASE
from deploy.demo.kube import Kube, until
from deploy.demo.storages import KIND
from deploy.local import cluster, images, paths
from deploy.local.home import Cluster
from shared.session_storage.sizes import Size
from tests.chaos.api import NAMESPACE as STORAGES
from tests.chaos.api import Api
from tests.chaos.stand import Stand
from tests.chaos.writing import Client, Writing, writing
from tests.e2e.api import Answer, load
from tests.e2e.conftest import Run
from tests.e2e.local.former import release
from tests.e2e.storages import server, storage

PER_SECOND: Final = 10
LEAST_PER_SECOND: Final = 8
HELM_SECONDS: Final = 180
SIZES: Final = (Size.SMALL, Size.LARGE)
NEWER_CRD: Final = CHART / "files" / "sessionstorages.crd.yaml"
WAIT: Final = ("--wait", f"--timeout={HELM_SECONDS}s")


@pytest.fixture(name="stands", scope="module")
def stands_fixture(run: Run) -> Iterator[list[Stand]]:
    """Install the former release, with storages that it has made; at the end, the present one is installed again."""
    cluster.load(Cluster.of_this_cache(), [release.archive()])
    former = replace(run.images, product=release.IMAGE)
    upgrade(run.kube, release.chart(), *former.chart_values(), *run.values)
    installation.await_at_work(run.kube)
    stands = [Stand(run.kube, Api(paths.kubeconfig()), run.images, f"former-{size}") for size in SIZES]
    for stand, size in zip(stands, SIZES, strict=True):
        stand.remove()
        run.kube.apply(storage(stand.name, STORAGES, size=size.value))
    for stand in stands:
        stand.await_recovered()
    yield stands
    run.install()
    for stand in stands:
        stand.remove()


def upgrade(kube: Kube, chart: Path, *options: str) -> None:
    kube.run_helm("upgrade", RELEASE, chart, f"--namespace={NAMESPACE}", *WAIT, *options)


def images_of_pods(kube: Kube) -> set[str]:
    return {container["image"] for pod in installation.pods(kube) for container in pod["spec"]["containers"]}


def await_settled(kube: Kube, stands: list[Stand], image: str) -> None:
    """Wait until both processes run an image alone, and have made of every storage what they want.

    A change of the spec is acknowledged by the reconciler that runs now; its status also says whether an update is due.
    """
    until(f"{image} runs alone", lambda: images_of_pods(kube) == {image}, HELM_SECONDS)
    installation.await_at_work(kube)
    change = json.dumps({"spec": {"allowedNamespaces": [f"seen-by-{image.rpartition(':')[2]}"]}})
    for stand in stands:
        kube.run("patch", KIND, stand.name, "--type=merge", f"--patch={change}", namespace=STORAGES)
        stand.await_recovered()


@contextmanager
def everything_in_use(run: Run, stands: list[Stand]) -> Iterator[tuple[list[Writing], list[list[Answer]]]]:
    """Write into every storage, and create servers and storages in dry runs, until the block ends."""
    created = (
        server("loaded", STORAGES, run.images.mcp_server, sessionStorageRef=stands[0].name),
        storage("loaded", STORAGES, size="large"),
    )
    with ExitStack() as stack:
        writings = [stack.enter_context(writing(stand, Client.GO_REDIS)) for stand in stands]
        answers = [stack.enter_context(load(run.kube, obj, PER_SECOND)) for obj in created]
        yield writings, answers


def revision(kube: Kube) -> int:
    """Return the number by which Helm calls the installed release."""
    status = json.loads(kube.run_helm("status", RELEASE, f"--namespace={NAMESPACE}", "--output=json"))
    return int(status["version"])


def test_an_upgrade_and_its_rollback_fail_no_admission_and_lose_no_write(
    run: Run, stands: list[Stand], figures: list[str]
) -> None:
    former = revision(run.kube)
    begun = time.monotonic()
    with everything_in_use(run, stands) as (writings, answers):
        upgrade(run.kube, CHART, "--reset-then-reuse-values", *run.images.chart_values())
        await_settled(run.kube, stands, images.PRODUCT)
        upgraded = time.monotonic()
        kept = json.loads(run.kube.run_helm("get", "values", RELEASE, f"--namespace={NAMESPACE}", "--output=json"))
        run.kube.run_helm("rollback", RELEASE, str(former), f"--namespace={NAMESPACE}", *WAIT)
        # As the page says: kubectl has written the storages as v1beta1, and the former CRD does not serve that.
        run.kube.run("apply", "--server-side", "--force-conflicts", f"--filename={NEWER_CRD}")
        await_settled(run.kube, stands, release.IMAGE)
        for each in writings:
            each.await_steady()
        took = time.monotonic() - begun
        verdicts = {
            stand.name: found.end(begun)[Client.GO_REDIS] for stand, found in zip(stands, writings, strict=True)
        }
    asked = sum(map(len, answers))
    for name, verdict in verdicts.items():
        figures.append(
            f"upgrade from {release.COMMIT} and rollback, {name}: {verdict.acked} writes, {len(verdict.lost)} lost,"
            f" longest pause {verdict.gap.seconds:.2f} s, errors {dict(verdict.errors)}"
        )
    figures.append(
        f"upgrade from {release.COMMIT} in {upgraded - begun:.0f} s, rollback in {took - (upgraded - begun):.0f} s:"
        f" {asked} admissions, {sum(bool(each.failure) for answer in answers for each in answer)} failed"
    )
    assert kept["rotation"] == {"refreshSeconds": 30}
    assert [each.failure for answer in answers for each in answer if each.failure] == []
    assert asked / took >= LEAST_PER_SECOND * len(answers)
    assert {name: verdict.lost for name, verdict in verdicts.items()} == dict.fromkeys(verdicts, ())
