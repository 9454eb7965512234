"""docs/reference/conditions.md explains every word that the code writes into a status or an Event, and no other."""

from __future__ import annotations

from typing import Final

import pytest

from reconciler.runtime.storage_metrics import REASONS as MOVES
from shared import names
from shared.objects.resources import SESSION_STORAGES
from shared.session_storage.status import Phase, RotationPhase
from tests.reference import said
from tests.reference.conditions import PAGE, document, explained, problems, reasons_of
from tests.reference.words import events, passwords, types
from tests.reference.words.word import Table, Word, tables_of
from tests.support.simulated import KEY, Simulation

WORDS: Final = said.words()
ENTRIES: Final = [(table, word) for table in tables_of(PAGE) for word in table.words]


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_of_a_status_or_an_event_is_explained(word: str) -> None:
    assert word in explained(), (
        f"{word}: add it to a table in tests/reference/words, or to a set of tests/reference/said.py if no status and"
        " no Event has it; then run `make generate`"
    )


def test_the_page_explains_no_word_that_the_code_does_not_have() -> None:
    assert problems() == []


@pytest.mark.parametrize(("condition", "reason"), sorted(said.findings()))
def test_a_reason_is_explained_under_the_condition_that_has_it(condition: str, reason: str) -> None:
    assert condition in {*types.TYPES.names, *types.CONSUMER_TYPE.names}
    assert reason in reasons_of(condition)


def test_the_code_is_searched_for_conditions_and_their_reasons() -> None:
    """A search that finds little would prove little."""
    found = said.findings()
    assert {("Redundant", "InSync"), ("Updating", "MovingPrimary"), ("ChangesAccepted", "ApplyRefused")} <= found
    assert len(found) >= 25


async def test_what_a_storage_says_in_its_life_is_explained_under_its_conditions() -> None:
    """By what it really writes: the search above does not follow a reason through variables."""
    simulation, seen, reasons = Simulation(), set[tuple[str, str]](), set[str]()

    def note(call: str) -> None:
        if "sessionstorages/" in call:
            seen.update((each["type"], each["reason"]) for each in simulation.status.get("conditions", ()))
            reasons.add(simulation.status.get("reason", "StorageReady"))

    simulation.api.on_write = note
    await simulation.ask_for(size="large")
    await simulation.settle()
    for annotation in (names.ANNOTATION_SWITCHOVER, names.ANNOTATION_ROTATE):
        await simulation.edit(SESSION_STORAGES, KEY[1], {"metadata": {"annotations": {annotation: "one"}}})
        await simulation.settle()
    await simulation.edit(SESSION_STORAGES, KEY[1], {"spec": {"size": "medium"}})
    await simulation.settle()
    repeating = {"Reconciling", "Stalled"}
    assert len(seen) >= 15
    assert [pair for pair in seen if pair[0] not in repeating and pair[1] not in reasons_of(pair[0])] == []
    assert sorted(reasons - explained()) == []


@pytest.mark.parametrize(("table", "word"), ENTRIES, ids=[", ".join(word.names) for _, word in ENTRIES])
def test_each_word_has_a_meaning_and_a_next_step(table: Table, word: Word) -> None:
    assert word.names
    assert word.means
    assert word.do
    assert all(f"`{name}`" in document() for name in word.names)


def test_every_phase_every_move_and_every_event_about_certificates_is_in_its_own_table() -> None:
    assert set(types.PHASES.names) == set(Phase)
    assert set(events.MOVES.names) == set(MOVES)
    assert {*events.CERTIFICATES.names} - {"Stable"} == set(said.certificate_event_types())
    assert set(passwords.ROTATION.names) == {*RotationPhase, "ConsumersWait"}


def test_the_type_of_an_event_is_that_of_the_code() -> None:
    assert "| `PrimaryLost` | `Warning` |" in document()
    assert "| `NodeIsDrained` | `Normal` |" in document()
    assert "| `BundleRepaired` | `Warning` |" in document()
    assert "| `Bootstrap` | `Normal` |" in document()
    assert "| `Stable` | no Event has it |" in document()


def test_no_word_has_two_meanings_in_one_table() -> None:
    for table in tables_of(PAGE):
        assert len(set(table.names)) == len(table.names)


def test_the_conditions_of_tables_are_those_that_are_explained() -> None:
    conditions = {condition for table in tables_of(PAGE) for condition in table.conditions}
    assert conditions <= {*types.TYPES.names, *types.CONSUMER_TYPE.names}
    repeating = {"Reconciling", "Stalled"}
    assert {*types.TYPES.names} - conditions == repeating


def test_the_lists_know_no_word_that_is_gone() -> None:
    known = set[str]().union(*map(said.written, said.DECIDING))
    assert sorted((said.OF_KUBERNETES | said.OF_THE_CODE) - known) == []
