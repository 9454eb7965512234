"""Counters and histograms begin with 0, so that Prometheus sees their first event as growth.

A fresh process that has only imported every module shows what there is before anything happens; that takes a second.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import REGISTRY

from certs.controller import CertificateController
from certs.metrics import Issued
from reconciler.runtime.metrics import CountOutcome, PassOutcome
from shared import errors
from shared.kubernetes.informer import Informer
from shared.objects.events import EventNote
from shared.objects.resources import Object, Resource
from shared.process.survival import keep_running
from tests.reference.metrics import PACKAGES
from tests.support.certificates import World
from tests.support.fakes import FakeApi
from webhook.admission.review import AdmissionRequest, Allow, Decision
from webhook.http.metrics import CutOff
from webhook.metrics import ReviewAnswer
from webhook.server import Server

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = """
import json
from prometheus_client import Counter, Histogram
from tests.reference.metrics import PACKAGES, declared_by
counting = [each for package in PACKAGES for each in declared_by(package) if isinstance(each, Counter | Histogram)]
print(json.dumps({each._name: sorted(each._metrics) for each in counting if each._labelnames}))
"""
KNOWN_LATER: Final = {
    "session_storage_ca_bundle_repairs": "the installation names the webhook configurations",
    "session_storage_unforeseen_errors": "a part has its name from who begins it",
    "session_storage_unhandled_objects": "a cache has its resource from who makes it",
    "session_storage_webhook_reviews": "the server gets its paths when it is made",
    "session_storage_webhook_review_seconds": "the server gets its paths when it is made",
}
"""Metrics whose labels' values nobody knows at their declaration, each with the reason; their series begin with 0 as
soon as somebody does."""


@pytest.fixture(name="begun", scope="module")
def begun_fixture() -> dict[str, set[tuple[str, ...]]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, check=True)
    found: dict[str, list[list[str]]] = json.loads(done.stdout)
    return {name: set(map(tuple, values)) for name, values in found.items()}


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_a_process_begins_with_every_series_whose_labels_it_knows(begun: dict[str, set[tuple[str, ...]]]) -> None:
    empty = {name for name, values in begun.items() if not values}
    assert empty == KNOWN_LATER.keys()
    api_errors = {
        *("ClusterError", "NotFound", "AlreadyExists", "Conflict", "Forbidden", "Rejected", "Expired"),
        *("Unavailable", "NoAnswer"),
    }
    assert {name: {value for (value,) in values} for name, values in begun.items() if values} == {
        "session_storage_reconciles": {*PassOutcome},
        "session_storage_session_counts": {*CountOutcome},
        "session_storage_certificate_errors": api_errors,
        "session_storage_certificates_issued": {*Issued},
        "session_storage_webhook_clients_cut_off": {*CutOff},
    }


def test_no_value_of_a_label_is_written_where_somebody_counts() -> None:
    """It would be in no list of values, so its series would begin with 1."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    written = re.compile(r"""\.labels\([^)]*["']""")
    assert [str(path) for path in paths if written.search(path.read_text())] == []


def test_the_api_server_s_failures_are_all_in_one_list() -> None:
    assert set(errors.kinds_of(errors.Unavailable)) == {errors.Unavailable, errors.NoAnswer}


async def test_every_answer_at_a_path_begins_with_0() -> None:
    async def decide(_request: AdmissionRequest) -> Decision:
        return Allow()

    path = "/new"
    Server({path: decide})
    answers = {each: value("session_storage_webhook_reviews_total", path=path, answer=each) for each in ReviewAnswer}
    assert set(answers.values()) == {0}
    assert value("session_storage_webhook_review_seconds_count", path=path) == 0


async def test_the_errors_of_a_part_and_of_a_cache_begin_with_0() -> None:
    async def work() -> None:
        assert value("session_storage_unforeseen_errors_total", part="a new part") == 0

    await keep_running("a new part", work)
    Informer(FakeApi(), Resource("", "v1", "newcomers", "Newcomer"))
    assert value("session_storage_unhandled_objects_total", resource="newcomers") == 0


async def test_the_repairs_of_every_ca_bundle_begin_with_0() -> None:
    world = World(WEBHOOK_CONFIGURATIONS="mutating/new,validating/new")

    async def record(_secret: Object, _note: EventNote) -> None:
        pytest.fail("nothing happens yet")

    CertificateController(world.api, world.settings, world.clock, record)
    repairs = [
        value("session_storage_ca_bundle_repairs_total", configuration=str(each))
        for each in world.settings.configurations
    ]
    assert repairs == [0, 0]
