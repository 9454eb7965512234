"""Reads Prometheus' text format with the official parser, and writes storages for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from reconciler.metrics.primary_answers import PrimaryAnswers
from reconciler.metrics.primary_changes import PrimaryChanges
from reconciler.metrics.storage_lines import Look, look_lines
from reconciler.runtime.storage_metrics import REASONS
from reconciler.state.replication_info import info_from
from reconciler.state.statistics import statistics_from
from tests.support.storages import NOW, observed, session_storage

if TYPE_CHECKING:
    from prometheus_client import Metric

    from reconciler.metrics.lines import FamilyLines
    from reconciler.state.storage_state import StorageState


def parsed(text: bytes) -> dict[str, Metric]:
    """Read families, by the name that their series have."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(text.decode())
    }


def values(lines: bytes, *labels: str) -> dict[tuple[str, ...], float]:
    """Read the lines of one family: values by those of these labels."""
    return {
        tuple(sample.labels[name] for name in labels): sample.value
        for family in text_string_to_metric_families(lines.decode())
        for sample in family.samples
    }


def large_state(info: str, name: str = "mine") -> StorageState:
    """Observe a `large` storage whose servers all count and measure what this reply to INFO says."""
    statistics = statistics_from(info_from(info))
    state = observed("large", storage=session_storage({"size": "large"}, name=name))
    instances = tuple(
        replace(each, facts=replace(each.facts, statistics=statistics)) for each in state.instances if each.facts
    )
    return replace(state, instances=instances)


def lines_of(state: StorageState, **known: Any) -> FamilyLines:
    """Write the lines of a storage that has just been looked at for the first time.

    Args:
        state: The storage.
        known: What is known besides: `status`, `usages`, `password_made`.
    """
    look = replace(Look(state, state.storage.status, (), NOW, NOW), **known)
    changes, answers = PrimaryChanges(REASONS), PrimaryAnswers()
    if state.primary_service is not None:
        changes.note(look.key, state.primary_service.last_change)
        answers.note_primary(look.key, 0, 0.0, has_served=True)
    return look_lines(look, changes, answers)
