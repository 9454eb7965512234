"""When wiring is left as it stands; above all when it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.consumers.up_to_date import is_settled

if TYPE_CHECKING:
    from shared.consumers.kinds import Fields

SOURCES = ("spec", "podTemplateSpec", "spec", "containers", "mcp", "envFrom")
STORAGE = ("spec", "sessionStorage")
ENTRY = {"secretRef": {"name": "store"}}
WANTED: list[Fields] = [(SOURCES, {"store": ENTRY}), (STORAGE, {"db": 0, "tls": None})]
OURS = [SOURCES[:2], STORAGE]
"""All is made for it."""
OTHER = {"secretRef": {"name": "other"}}


def server(sources: Any = (ENTRY,), storage: Any = None, others: Any = (), **container: Any) -> Any:
    containers = [{"name": "mcp", "envFrom": list(sources), **container}, *others]
    return {
        "spec": {
            "podTemplateSpec": {"spec": {"containers": containers}},
            "sessionStorage": {"db": 0} if storage is None else storage,
        }
    }


@pytest.mark.parametrize("made", [OURS, [SOURCES, STORAGE], [SOURCES], [STORAGE], []])
def test_what_stands_as_it_was_made_is_left(made: Any) -> None:
    assert is_settled(server(), WANTED, made)


@pytest.mark.parametrize(
    ("consumer", "made"),
    [
        pytest.param(server([OTHER, ENTRY]), [STORAGE], id="an array of the user's own"),
        pytest.param(server(image="x"), [SOURCES, STORAGE], id="a container of the user's own"),
        pytest.param(server(others=[{"name": "side"}]), [SOURCES, STORAGE], id="another container after the user's"),
        pytest.param(server(storage={"db": 0, "more": 1}), [SOURCES], id="an object of the user's own"),
    ],
)
def test_what_else_stands_in_the_users_own_is_no_matter(consumer: Any, made: Any) -> None:
    assert is_settled(consumer, WANTED, made)


@pytest.mark.parametrize(
    ("consumer", "made"),
    [
        pytest.param({}, OURS, id="nothing there"),
        pytest.param(server([]), OURS, id="no entry"),
        pytest.param(server([ENTRY, OTHER]), [STORAGE], id="an entry that is not last"),
        pytest.param(server([ENTRY, {**ENTRY}]), [STORAGE], id="an entry that is there twice"),
        pytest.param(server([OTHER, ENTRY]), OURS, id="something else in an array of ours"),
        pytest.param(server([{**ENTRY, "optional": True}]), OURS, id="an entry with more in it"),
        pytest.param(server(image="x"), OURS, id="something else in a container of ours"),
        pytest.param(server(others=[{"name": "side"}]), OURS, id="a container of ours that is not alone"),
        pytest.param(server(others=[{"name": "side"}]), [SOURCES[:5], STORAGE], id="a container of ours, not last"),
        pytest.param(server(name=None, secretRef={"name": "mcp"}), OURS, id="a container that is called otherwise"),
        pytest.param(server(storage={"db": 0, "more": 1}), OURS, id="something else in an object of ours"),
        pytest.param(server(storage={"db": 0, "tls": None}), OURS, id="null in an object of ours"),
        pytest.param(server(storage={"db": 0, "tls": {}}), [SOURCES[:2]], id="what must not be there"),
        pytest.param(server(storage={"db": 1}), OURS, id="another value"),
        pytest.param(server(storage={"db": False}), OURS, id="a value that only Python takes for the same"),
        pytest.param(server(storage=[{"name": "db"}]), OURS, id="an array for an object"),
        pytest.param({"spec": {**server()["spec"], "podTemplateSpec": 5}}, OURS, id="a number in the way"),
        pytest.param(server(), [*OURS, ("spec", "more")], id="more was made"),
        pytest.param(server(), OURS[::-1], id="made in another order"),
        pytest.param(server(), [*OURS, SOURCES], id="made twice"),
    ],
)
def test_wherever_wiring_could_make_anything_else_it_is_done_again(consumer: Any, made: Any) -> None:
    assert not is_settled(consumer, WANTED, made)


def test_an_object_for_an_array_is_in_the_way() -> None:
    consumer = server()
    consumer["spec"]["podTemplateSpec"]["spec"]["containers"][0]["envFrom"] = {"store": ENTRY}
    assert not is_settled(consumer, WANTED, [STORAGE])
