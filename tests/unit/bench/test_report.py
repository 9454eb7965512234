from __future__ import annotations

import re

from tests.bench import creates, servers
from tests.bench.calls import Calls, WebhookCalls
from tests.bench.cases import Case
from tests.bench.figures import Figures
from tests.bench.report import Circumstances, document
from tests.bench.reviews import Outcome
from tests.bench.watcher import Watched

CASE = Case("create", 10, b"x" * 9800)
SERVERS = (servers.OURS, servers.NET_HTTP, servers.CONTROLLER_RUNTIME)
OUTCOME = Outcome(
    {(CASE, name): Figures(1000.0 * (3 - place), 1.0 + place, 10.0, 20.0, 150.0) for place, name in enumerate(SERVERS)},
    dict.fromkeys(SERVERS, 42.4),
)
CREATED = creates.Created(
    {
        creates.WITH_US: Figures(100.0, 3.0, 9.0, 12.0),
        creates.WITHOUT_US: Figures(100.0, 2.0, 5.5, 12.0),
        creates.NO_REFERENCE: Figures(100.0, 2.0, 5.0, 12.0),
    },
    {creates.WITH_US: WebhookCalls(calls=Calls(1000, 750, 4.0), answers=Calls(1000, 998, 0.5))},
)
PROBED = {"200 large storages": Watched(7.25, 1.5, 31.25)}
CIRCUMSTANCES = Circumstances("2026-11-24", {"processors": "2 x Some"}, 0.5, 6, 3.0, 8, 1000)


def test_the_document_has_every_figure_and_every_ratio() -> None:
    text = document(OUTCOME, CREATED, PROBED, CIRCUMSTANCES)
    assert f"| create, 9.8 kB | {servers.OURS} | 3000 | 1 | 10 | 20 | 150 |\n" in text
    assert f"| create, 9.8 kB | {servers.CONTROLLER_RUNTIME} | 3.00x | 0.33x | 1.00x | 1.00x | 1.00x |\n" in text
    assert f"| {servers.NET_HTTP} | 42 |\n" in text
    assert f"| {creates.WITH_US} | 3 | 9 | 12 |\n" in text
    assert "| 200 large storages | 7.2 | 1.5 | 31.2 |\n" in text
    assert "Our webhook adds 1.0 ms at p50, 3.5 ms at p99.\n" in text
    assert f"| {creates.WITH_US} | 1000 | 4.0 | 0.5 | 100 % |\n" in text


def test_the_document_says_when_and_on_what_it_was_measured() -> None:
    text = document(OUTCOME, CREATED, PROBED, CIRCUMSTANCES)
    assert "| processors | 2 x Some |" in text
    assert "2026-11-24" in text
    assert not re.search(r"\{\w*\}", text)
