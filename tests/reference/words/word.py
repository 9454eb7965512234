"""A word that a status or an Event can have, what it means and what to do; and tables of such words as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NOTHING: Final = "none"
"""What to do about a word that needs nobody."""
REASONS: Final = ("reason", "it means", "next step")

Kind: TypeAlias = Literal["phase", "type", "reason", "event"]


@dataclass(frozen=True, slots=True)
class Word:
    """Words for one cause.

    Attributes:
        names: The words.
        means: What they mean; of the type of a condition, what it is about.
        do: What to do; of the type of a condition, when a storage has it.
        status: The status of the condition that has them as its reason, where all have the same.
    """

    names: tuple[str, ...]
    means: str
    do: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Words of one kind.

    Attributes:
        conditions: The types of the conditions whose reasons they are; empty for words of another kind.
        event_types: `Normal` or `Warning` for each word of an Event, as the code has it.
    """

    words: tuple[Word, ...]
    conditions: tuple[str, ...] = ()
    head: tuple[str, str, str] = REASONS
    kind: Kind = "reason"
    event_types: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All words, in order."""
        return tuple(name for word in self.words for name in word.names)

    @property
    def text(self) -> str:
        has_status = any(word.status for word in self.words)
        first, *others = self.head
        further = ["status"] * has_status + ["type"] * bool(self.event_types)
        return _table(
            (first, *further, *others),
            ([quoted(word), *self._further(word), word.means, word.do] for word in self.words),
        )

    def _further(self, word: Word) -> Iterator[str]:
        if word.status:
            yield f"`{word.status}`"
        if self.event_types:
            types = {self.event_types.get(name) for name in word.names}
            yield ", ".join(sorted(f"`{each}`" if each else "no Event has it" for each in types))


@dataclass(frozen=True, slots=True)
class Joined:
    """The reasons of several conditions in one table, because each has few."""

    tables: tuple[Table, ...]

    @property
    def text(self) -> str:
        return _table(("condition", *REASONS), self._rows())

    def _rows(self) -> Iterator[list[str]]:
        for table in self.tables:
            for number, word in enumerate(table.words):
                condition = "" if number else ", ".join(f"`{each}`" for each in table.conditions)
                yield [condition, quoted(word), word.means, word.do]


Part: TypeAlias = str | Table | Joined
"""A part of the page: Markdown, or words."""


def tables_of(parts: tuple[Part, ...]) -> list[Table]:
    """List the tables of a page."""
    found = list[Table]()
    for part in parts:
        if isinstance(part, Joined):
            found.extend(part.tables)
        elif isinstance(part, Table):
            found.append(part)
    return found


def quoted(word: Word) -> str:
    return ", ".join(f"`{name}`" for name in word.names)


def _table(head: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    lines = (head, *rows)
    top, *others = (f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)
    return "\n".join((top, "|---" * len(head) + "|", *others)) + "\n"
