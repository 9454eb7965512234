"""Writes the text of docs/benchmarks.md. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench import creates, servers
from tests.bench.calls import FAST_SECONDS
from tests.bench.figures import milliseconds, ratio, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.calls import WebhookCalls
    from tests.bench.creates import Created
    from tests.bench.figures import Figures
    from tests.bench.reviews import Outcome
    from tests.bench.watcher import Watched

_COLUMNS: Final = ("requests/s", "p50 ms", "p99 ms", "p99.9 ms")
_CREATED: Final = "an MCPServer of about 10 kB"
_FAST: Final = f"answers within {1000 * FAST_SECONDS:g} ms"


@dataclass(frozen=True)
class Circumstances:
    """Date, machine and parameters of the measurement.

    Attributes:
        date: The day, as ISO 8601 writes it.
        facts: Hardware and versions, by name.
        load: The machine's load average over one minute, before the measurement began.
        rounds: Turns that each server had in each case.
        seconds: Length of a turn.
        connections: Connections of the client.
        creates: Objects of each kind that were created.
    """

    date: str
    facts: Mapping[str, str]
    load: float
    rounds: int
    seconds: float
    connections: int
    creates: int


def document(outcome: Outcome, created: Created, probed: Mapping[str, Watched], circumstances: Circumstances) -> str:
    """Write the document."""
    return "\n".join(
        (
            _INTRODUCTION.format(**vars(circumstances)),
            table(("", circumstances.date), circumstances.facts.items()),
            _REVIEWS.format(**vars(circumstances)),
            table(("case", "server", *_COLUMNS, "processor µs"), _review_rows(outcome)),
            "Ours as a multiple of theirs; more requests are better, and less of everything else:\n",
            table(("case", "against", "requests/s", "p50", "p99", "p99.9", "processor"), _ratio_rows(outcome)),
            table(("server", "resident memory, MB"), _memory_rows(outcome)),
            _CREATES.format(**vars(circumstances), per_second=creates.PER_SECOND),
            table((_CREATED, *_COLUMNS[1:]), _create_rows(created.figures)),
            _added(created.figures),
            _CALLS,
            table((_CREATED, "calls", "call, ms", "wait for the answer, ms", _FAST), _call_rows(created.webhook_calls)),
            _PROBING,
            table(("", "% of a processor", "late ms, p50", "late ms, worst"), _probing_rows(probed)),
            _BOUNDS,
        )
    )


def _review_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for (case, server), figures in outcome.figures.items():
        throughput, processor = f"{figures.per_second:.0f}", f"{figures.processor:.0f}"
        yield f"{case.kind}, {len(case.body) / 1000:.1f} kB", server, throughput, *_times(figures), processor


def _ratio_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for (case, server), theirs in outcome.figures.items():
        ours = outcome.figures[case, servers.OURS]
        if server != servers.OURS:
            yield (
                f"{case.kind}, {len(case.body) / 1000:.1f} kB",
                server,
                ratio(ours.per_second, theirs.per_second),
                ratio(ours.p50, theirs.p50),
                ratio(ours.p99, theirs.p99),
                ratio(ours.p999, theirs.p999),
                ratio(ours.processor, theirs.processor),
            )


def _memory_rows(outcome: Outcome) -> Iterator[tuple[str, str]]:
    for server, resident_mb in outcome.resident_mb.items():
        yield server, f"{resident_mb:.0f}"


def _create_rows(created: Mapping[str, Figures]) -> Iterator[tuple[str, ...]]:
    for arm, figures in created.items():
        yield arm, *_times(figures)


def _probing_rows(probed: Mapping[str, Watched]) -> Iterator[tuple[str, ...]]:
    for case, found in probed.items():
        yield case, f"{found.processor:.1f}", milliseconds(found.p50), milliseconds(found.worst)


def _added(created: Mapping[str, Figures]) -> str:
    ours, without = created[creates.WITH_US], created[creates.WITHOUT_US]
    return f"Our webhook adds {ours.p50 - without.p50:.1f} ms at p50, {ours.p99 - without.p99:.1f} ms at p99.\n"


def _call_rows(webhook_calls: Mapping[str, WebhookCalls]) -> Iterator[tuple[str, ...]]:
    for arm, own in webhook_calls.items():
        fast = f"{100 * own.answers.fast / own.answers.total:.0f} %"
        yield arm, str(own.calls.total), f"{own.calls.mean_ms:.1f}", f"{own.answers.mean_ms:.1f}", fast


def _times(figures: Figures) -> tuple[str, str, str]:
    return milliseconds(figures.p50), milliseconds(figures.p99), milliseconds(figures.p999)


_INTRODUCTION = """\
# Benchmarks

`make bench` runs all benchmarks and writes this page, in about a quarter of an hour. CI does not run it: the figures
depend on what else the machine does, so they are no test. The programs are in `tests/bench/`.
"""
_REVIEWS = """\
## Admission reviews

A client posts the same AdmissionReviews to three webhooks. Before it measures them, the benchmark checks that all three
give the same answers: the same decision, and patches that make the same object (the record annotation included).

- **this webhook**: the whole process that a pod runs (caches, metrics, the certificate from its Secret), with the
  Python of the product's image and an API server in memory. Its memory includes that fake API server.
- **this webhook, before**: the same of another checkout, in runs for which `--before` names one.
- **Go, net/http by hand**: `encoding/json`, typed structs for the fields that it reads, and a patch that it builds
  field by field. In its favour, it leaves out metrics and what no case reaches (removal, external storages, rights
  across namespaces).
- **Go, controller-runtime**: `admission.Handler` on an unstructured object, and `PatchResponseFromRaw`.

There are three cases. *create* injects a storage into a new MCPServer. *update* changes the image of a connected one:
the webhook checks every field and patches nothing. *refused* has a `sessionStorage` that contradicts its reference. A
review of an update holds two objects, so the smallest is larger than the smallest of the others. Each request is about
another object.

Each server has one processor (`taskset`, `GOMAXPROCS=1`), the client has another. They speak TLS 1.3 (P-256) over
{connections} persistent connections, each with one request at a time. Servers take turns of {seconds:g} s, {rounds} in
each case, in rotating order, so that other load on the machine slows all of them alike. A request is always under way
on every connection, so latencies are those of a *saturated* server: p50 is about {connections} times what one request
takes. Processor time is what one request takes of the server's processor; other programs on the machine disturb this
figure least. The load average at the start was {load:.1f}; when it is not near 0, ratios mean more than figures.
"""
_CREATES = """\
## Creating an MCPServer

A real API server with its etcd shares the processors with our webhook and reconciler, which run in the product's image.
The benchmark creates {creates} MCPServers of each kind in turns, {per_second} of all kinds in a second. It sends each
create when it is due and does not wait for earlier ones (an open loop); times count from the moment at which a create
is due. The namespace that our webhook excludes is `kube-system`.
"""
_CALLS = """\
A webhook prolongs a create by one call. The API server itself counts how long these calls take: it writes the review,
sends it, waits for the answer, applies the patch and reads the result. Its metrics give no more than these means.
"""
_PROBING = """\
## Watching storages

The table shows the processor time that the reconciler needs to watch 200 storages; their instances are other processes.
The heartbeat pings every instance once a second. A look asks each instance for its role and its configuration, and for
the passwords that it accepts if they may have changed. The reconciler looks at a storage at rest every 30 s, and every
10 s while something changes; these figures leave out what it decides from the answers and what it reads from its
caches. A check asks the primary of a storage at rest whether it takes writes. Every 0.2 s, a sample takes the instance
that has been silent for the longest time; *late* is how much longer than one second that is.
"""
_BOUNDS = """\
## What limits the webhook

perf shows where the webhook's processor time goes under full load. This is the 10 kB injection on two AMD EPYC
processors with Python 3.13, measured on 30 November 2026:

| part | share |
| --- | ---: |
| the interpreter and its objects: deciding, aiohttp's own Python code, and what orjson makes | 68 % |
| kernel: sockets, wakeups | 14 % |
| orjson without the objects that it makes | 7 % |
| HTTP (llhttp) and event loop (uvloop) | 4 % |
| libc: copying, memory | 4 % |
| TLS (OpenSSL) | 3 % |

All parts but the first are compiled code, much the same as in a Go program. A hand-written Go webhook decides faster.
To read a review, to decide and to write the answer takes ours 67 µs alone on a processor; 42 µs of that it decides.
Next to TLS, the kernel and a busy client the same code takes longer; Go's smaller code suffers less from those. The Go
webhook reads more slowly: `encoding/json` takes about 100 µs for 10 kB, orjson 15 to 20 µs. So Go is ahead for small
objects, and behind where reading is most of the work. To be ahead everywhere, ours would have to decide in compiled
code.

aiohttp costs a quarter of these requests. In one run with it, on the same day and processors, a server of our own on
httptools served 1.22 times the requests of the hand-written webhook and 6.2 times those of controller-runtime; with
aiohttp it is 0.94 and 4.8 times. [0022](adr/0022-aiohttp-serves-the-reviews.md) says why aiohttp serves them all the
same.

Part of what a call adds to a create is the API server's own work, whichever webhook answers: it writes the review,
applies the patch and reads the result. That is the difference between the two means above: some 3 ms, and 6 ms on a
slower day. So every webhook that patches adds at least as much. Creates come seldom, and by then a processor's caches
have lost the webhook's code and data: the same review takes our process 1 ms then, and 0.2 ms under load.

These choices keep the webhook fast:

- aiohttp's `web.Server` serves the reviews without the routing of its `web.Application`, and answers with one write
  ([0022](adr/0022-aiohttp-serves-the-reviews.md)). The webhook binds the labels of its metrics once.
- A `Draft` copies the objects above changed fields once; each change used to copy them anew.
- The webhook parses a record once, and not up to six times in one admission (24 µs each time); it writes paths in the
  record once.
- Of users' variables, Python code looks only at those that hide one of ours.

Larger thresholds of the garbage collector did not help: a review's objects die with it, and a young collection finds
nothing.
"""
