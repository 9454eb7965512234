"""Writes down every metric: `python -m tests.reference.metrics` prints `docs/reference/metrics.md`.

The series of storages come from `reconciler/metrics/families.py`; those of the processes from whatever module makes a
metric of prometheus_client, so that none can be forgotten.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client.metrics import MetricWrapperBase

from reconciler.metrics.families import INSTANCE, IS_LEADER, STORAGE, STORAGE_FAMILIES, Family

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).parents[2]
HEAD: Final = """\
<!-- Generated from what the code declares by `make generate`; do not edit. -->

# Metrics

Webhook and reconciler serve Prometheus' text format on their port `http`, beside their probes:

- `/metrics`, on every replica of both: how the process does, and besides what prometheus_client tells of every Python
  process (`process_*`, `python_*`).
- `/metrics/storages`, on every replica of the reconciler: all storages and their Valkey servers. A replica that does
  not lead answers `session_storage_is_leader 0` and nothing else.

The series of a storage are as old as the last look at it, which comes twice a minute at least. They appear with its
first look, and end when it is gone. Its sessions are counted once a minute.

Counters and histograms begin with 0 before their first event, by every value that a label can have, because `rate` and
`increase` see no growth in a series that begins with 1. A part of a process, a path, a cache or a webhook configuration
has its series once it is there itself. Two kinds of series are left out. A command that nobody has called has no
`redis_commands_total`: all of them would be 50 lines more for each server, most of them 0. And what happens before the
first scrape of a new process, or of a new leader, is in the value and not in the growth.
"""
LABELS: Final = """\
## Labels of storages

`namespace` and `storage` name the SessionStorage. Of a Valkey server, `pod` names its pod, and `role` is `primary` for
the one that clients get to, else `replica`. The tables leave these four out.

Prometheus has labels of its own called `namespace` and `pod`, for the reconciler's pod. Whoever scrapes
`/metrics/storages` sets `honorLabels: true`; otherwise ours become `exported_namespace` and `exported_pod`.
"""
OF_STORAGES: Final = """\
## Of storages

How long the primary was available: `session_storage_probes_total` counts every second since the reconciler began to
lead, and `session_storage_probe_seconds_bucket{le="0.1"}` those in which the primary answered within 100 ms.

Live sessions are the keys under the prefixes of the consumers' sessions. A key may count twice while Valkey's table of
keys grows. A session whose key belongs to no consumer that refers to the storage counts as `consumer="unknown"`, with
an empty `consumer_namespace`. Two consumers of one name and different kinds are one series.
"""
OF_SERVERS: Final = """\
## Of Valkey servers

These have the names that [redis_exporter](https://github.com/oliver006/redis_exporter) gives them, so that dashboards
and alerts for it go on working. No exporter runs beside Valkey: the reconciler asks when it looks.
"""
CERTIFICATES: Final = """\
## Of the webhook's certificates

The reconciler that leads serves these; see [certificates](../howto/certificates.md).
"""
PACKAGES: Final = {
    "reconciler": "## Of the reconciler\n",
    "certs": CERTIFICATES,
    "webhook": "## Of the webhook\n",
    "shared": "## Of both processes\n",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A metric as the page shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def text(self) -> str:
        labels = ", ".join(f"`{label}`" for label in self.labels)
        return f"| `{self.name}` | {self.kind} | {labels} | {self.help} |\n"


def document() -> str:
    own = [family for family in STORAGE_FAMILIES if family.labels[: len(INSTANCE)] != INSTANCE]
    servers = [family for family in STORAGE_FAMILIES if family not in own]
    parts = (
        HEAD,
        LABELS,
        OF_STORAGES,
        _table(_row_of(family, len(STORAGE)) for family in (IS_LEADER, *own)),
        OF_SERVERS,
        _table(_row_of(family, len(INSTANCE)) for family in servers),
        *(part for package, title in PACKAGES.items() for part in (title, _table(_rows(package)))),
    )
    return "\n".join(parts)


def declared_series() -> dict[str, frozenset[str]]:
    """Name every series that both processes have, and its labels; a histogram has three."""
    rows = [row for package in PACKAGES for row in _rows(package)]
    rows += [_row_of(family, 0) for family in (IS_LEADER, *STORAGE_FAMILIES)]
    found: dict[str, frozenset[str]] = {}
    for row in rows:
        labels = frozenset(row.labels)
        if row.kind == "histogram":
            found |= {f"{row.name}_bucket": labels | {"le"}, f"{row.name}_sum": labels, f"{row.name}_count": labels}
        else:
            found[row.name] = labels
    return found


def declared_by(package: str) -> Iterator[MetricWrapperBase]:
    """Import every module that makes metrics, and list these."""
    for path in sorted((ROOT / package).rglob("*.py")):
        if "from prometheus_client import" not in path.read_text():
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        yield from (metric for metric in vars(module).values() if isinstance(metric, MetricWrapperBase))


def _rows(package: str) -> Iterator[Row]:
    for metric in declared_by(package):
        (described,) = metric.describe()
        name = f"{described.name}_total" if described.type == "counter" else described.name
        yield Row(name, described.type, metric._labelnames, described.documentation)


def _row_of(family: Family, shared: int) -> Row:
    return Row(family.name, family.kind, family.labels[shared:], family.help)


def _table(rows: Iterable[Row]) -> str:
    head = "| name | kind | labels | what it says |\n| --- | --- | --- | --- |\n"
    return head + "".join(row.text for row in rows)


if __name__ == "__main__":
    sys.stdout.write(document())
