"""Writes what one Valkey server says of itself as lines for Prometheus, with redis_exporter's names. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.metrics import families
from reconciler.metrics.families import BY_FIELD, INSTANCE, OTHER_COMMANDS, TOOLHIVE_COMMANDS
from reconciler.state.statistics import CommandCalls
from shared import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.metrics.lines import LabelledLines, StorageLines
    from reconciler.state.instance import Instance
    from reconciler.state.statistics import Statistics
    from shared.objects.resources import Key


def add_instance(lines: StorageLines, storage: Key, instance: Instance, *, is_primary: bool) -> None:
    """Add the lines of one instance; of one that does not respond, only that it is not up.

    Args:
        lines: The storage's lines.
        storage: Its storage.
        instance: As the observer saw it.
        is_primary: Whether the storage's Service sends clients to it.
    """
    namespace, name = storage
    role = names.ROLE_PRIMARY if is_primary else names.ROLE_REPLICA
    own = lines.labelled(INSTANCE, namespace, name, names.valkey_pod(name, instance.index), role)
    own.add(families.UP, int(instance.responds))
    if instance.facts is not None:
        _add_statistics(own, instance.facts.statistics)


def _add_statistics(own: LabelledLines, said: Statistics) -> None:
    if said.valkey_version or said.redis_version:
        own.add(families.INSTANCE_INFO, 1, said.redis_version, said.valkey_version)
    for field, value in said.figures.items():
        if (family := BY_FIELD.get(field)) is not None:
            own.add(family, value)
    for database in said.databases:
        own.add(families.DB_KEYS, database.keys, database.name)
        own.add(families.DB_KEYS_EXPIRING, database.expiring, database.name)
    for command, (calls, microseconds) in by_label(said.commands).items():
        own.add(families.COMMANDS, calls, command)
        own.add(families.COMMANDS_DURATION, microseconds / 1e6, command)
    if said.is_linked is not None:
        own.add(families.MASTER_LINK_UP, int(said.is_linked))
        if (offset := said.figures.get("slave_repl_offset")) is not None:
            own.add(families.SLAVE_REPL_OFFSET, offset)
    for family, succeeds in (
        (families.AOF_LAST_WRITE, said.aof_write_succeeds),
        (families.AOF_LAST_REWRITE, said.aof_rewrite_succeeds),
    ):
        if succeeds is not None:
            own.add(family, int(succeeds))


def by_label(commands: Mapping[str, CommandCalls]) -> dict[str, CommandCalls]:
    """Sum the commands that ToolHive does not use: anybody can call any, and each label costs every scrape."""
    known = {name: each for name, each in commands.items() if name in TOOLHIVE_COMMANDS}
    others = [each for name, each in commands.items() if name not in TOOLHIVE_COMMANDS]
    if others:
        known[OTHER_COMMANDS] = CommandCalls(sum(each.calls for each in others), sum(e.microseconds for e in others))
    return known
