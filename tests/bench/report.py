"""Writes docs/benchmarks.md: what was measured, on what, and how to read it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench import creates, servers
from tests.bench.calls import SOON_SECONDS
from tests.bench.figures import milliseconds, ratio, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.calls import Asked
    from tests.bench.creates import Created
    from tests.bench.figures import Figures
    from tests.bench.reviews import Outcome
    from tests.bench.watcher import Watched

_COLUMNS: Final = ("requests/s", "p50 ms", "p99 ms", "p99.9 ms")
_SOON: Final = f"answers within {1000 * SOON_SECONDS:g} ms"


@dataclass(frozen=True)
class Circumstances:
    """Where and when it was measured.

    Attributes:
        date: Day, as ISO 8601 writes it.
        facts: What the machine is and which versions ran, by name.
        load: What else the machine did: its load average at the start, over one minute.
        rounds: How often each server's turn came in each case.
        seconds: How long a turn was.
        connections: How many the client kept.
        creates: How many objects of each kind were created.
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
            "Ours against theirs; of requests, more is better, of all else less:\n",
            table(("case", "against", "requests/s", "p50", "p99", "p99.9", "processor"), _ratio_rows(outcome)),
            table(("server", "resident memory, MB"), _memory_rows(outcome)),
            _CREATES.format(**vars(circumstances), per_second=creates.PER_SECOND),
            table(("an MCPServer of about 10 kB", *_COLUMNS[1:]), _create_rows(created.figures)),
            _added(created.figures),
            _CALLS,
            table(("called", "times", "a call, ms", "waiting for the answer, ms", _SOON), _call_rows(created.asked)),
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
    return f"Added by us: {ours.p50 - without.p50:.1f} ms at p50, {ours.p99 - without.p99:.1f} ms at p99.\n"


def _call_rows(asked: Mapping[str, Asked]) -> Iterator[tuple[str, ...]]:
    for arm, own in asked.items():
        soon = f"{100 * own.answers.soon / own.answers.total:.0f} %"
        yield arm, str(own.calls.total), f"{own.calls.mean_ms:.1f}", f"{own.answers.mean_ms:.1f}", soon


def _times(figures: Figures) -> tuple[str, str, str]:
    return milliseconds(figures.p50), milliseconds(figures.p99), milliseconds(figures.p999)


_INTRODUCTION = """\
# Benchmarks

`make bench` measures all of this and writes this page, in about a quarter of an hour. CI does not run it, because a
figure that depends on what else the machine does is no test. `tests/bench/` has its programs.
"""
_REVIEWS = """\
## Admission reviews

The same AdmissionReviews are posted to three webhooks that give the same answers, which is checked before anything is
measured: the decision, and that the patches make the same object (the record annotation included).

- **this webhook**: the process that a pod runs, whole (caches, metrics, certificate out of its Secret), in the
  product's image, with its Python; on an API server in memory. Its memory includes that stand-in.
- **Go, net/http by hand**: `encoding/json`, typed structs for what is read, a patch put together field by field. It
  leaves out what no case reaches (removal, external storages, rights across namespaces) and metrics, to its favour.
- **Go, controller-runtime**: `admission.Handler` on an unstructured object, and `PatchResponseFromRaw`.

Cases: *create* injects a storage into a new MCPServer; *update* changes the image of a connected one, so that all is
looked at and nothing is patched; *refused* contradicts its reference. A review of an update holds two objects, so the
smallest is larger than the smallest of the others. Each request is about another object.

Each server has one processor (`taskset`, `GOMAXPROCS=1`), the client has another. TLS 1.3, P-256, {connections}
connections that are kept, each with one request at a time. Servers take turns of {seconds:g} s, {rounds} in each case,
the order rotating, so that what else happens on the machine hits all alike. Hence latencies are those of a *saturated*
server: with {connections} requests under way, p50 is about {connections} times what one takes. Processor time is what
one request took of the server's processor, and the figure that other programs on the machine disturb least. The load
average at the start was {load:.1f}; when it is not near 0, ratios mean more than figures.
"""
_CREATES = """\
## Creating an MCPServer

On a real API server, etcd and all, with our webhook and reconciler beside it on the same processors. {creates} creates
of each kind in turns, {per_second} of all kinds in a second, each at its appointed instant whatever became of those
before (an open loop); times count from that instant. Where we are not asked is `kube-system`, which our rules exclude.
Ours run in the product's image.
"""
_CALLS = """\
What a webhook has a part in is its call, and the API server counts those itself, from the object before to the object
after: it writes the review, sends it and waits for the answer, applies the patch and reads the result. Means, because
its metrics do not tell more.
"""
_PROBING = """\
## Watching storages

How much processor time the reconciler needs to watch 200 storages, whose Valkeys are other processes. The heartbeat
pings every instance once a second. A look logs in to each instance, and asks for its role, configuration and the
passwords that it accepts. The reconciler looks at least every 10 s; these figures leave out what it decides from it and
what it reads from its caches. Late is by how much the least recent answer of all instances was older than one second,
in samples 0.2 s apart.
"""
_BOUNDS = """\
## What bounds it

Of the 10 kB injection, on two processors of an Intel Xeon with Python 3.13, on 29 November 2026, when a server of our
own on httptools spoke HTTP; by perf, of the webhook's processor time under full load:

| part | share |
| --- | ---: |
| the interpreter and its objects: deciding, and what orjson makes | 63 % |
| kernel: sockets, waking up | 14 % |
| orjson without the objects that it makes | 7 % |
| libc: copying, memory | 6 % |
| TLS (OpenSSL) | 5 % |
| HTTP (llhttp) and event loop (uvloop) | 4 % |

All but the first is compiled code, much the same as in a Go program; of system calls there are one read and one write
for a review. What a hand-written Go webhook is ahead by is deciding: some 250 calls of functions, interpreted, about
60 µs alone on a processor and half as much again next to TLS, the kernel and a busy client, where Go's smaller code
suffers less. What it falls behind by is reading: `encoding/json` takes about 100 µs for 10 kB, orjson 20. So it stays
ahead for small objects, and loses where reading is most of the work. In between it depends on the processor: for 10 kB,
ours served 0.87 to 1.06 times its requests on an Intel Xeon (five runs; 4.7 to 5.2 times those of controller-runtime),
and 1.10 to 1.19 times on an AMD EPYC (three runs; 5.9 to 6.2 times). To be ahead everywhere, deciding would have to be
compiled.

Of a create, on that EPYC: what the API server does itself, whoever answers. A call took 9.6 ms with us and 14.4 with
controller-runtime, of which it waited 3.6 and 8.2: the other 6 it spent on writing the review, applying the patch and
reading the result, as its profile says too (`/debug/pprof/profile`: 6.5 ms of processor time for each call). So no
webhook that patches adds less than 6 ms to a create there; a create without one took 24. Creates come seldom, and then
nothing of them is in a processor's caches: the same review takes our process 1 ms then, and 0.3 under load.

What was done: deciding the injection took 117 µs alone, and takes half of that; an update 307, and takes 119.

- Reviews are served by aiohttp's `web.Server`, which spares the routing of its `web.Application`, and are answered with
  one write ([0020](adr/0022-aiohttp-serves-the-reviews.md)). Metrics' labels are bound once.
- A `Draft` copies what lies above changed fields once; each change used to copy it anew.
- A record is read once, and not up to six times in one admission (24 µs each time); paths in it are written once.
- Of users' variables only those that hide one of ours are looked at in Python.

What was tried and did not help: larger thresholds of the garbage collector. A review's objects die with it, and a
young collection finds nothing.
"""
