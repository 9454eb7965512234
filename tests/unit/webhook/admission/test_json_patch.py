from __future__ import annotations

from typing import Any

import pytest

from webhook.admission.json_patch import diff


@pytest.mark.parametrize(
    ("before", "after", "operations"),
    [
        pytest.param({"a": 1}, {"a": 1}, [], id="no change, no operation"),
        pytest.param({}, {"a": {"b": {}}}, [{"op": "add", "path": "/a", "value": {"b": {}}}], id="parents come along"),
        pytest.param({"a": None}, {"a": 1}, [{"op": "add", "path": "/a", "value": 1}], id="null counts as absent"),
        pytest.param({"a": None}, {}, [], id="null need not be taken away"),
        pytest.param({}, {"a": None}, [], id="null need not be put there"),
        pytest.param({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}], id="true is not one"),
        pytest.param({"x": {"a/b~c": 1}}, {"x": {}}, [{"op": "remove", "path": "/x/a~1b~0c"}], id="keys are escaped"),
        pytest.param({"a": [1]}, {"a": [1, 2]}, [{"op": "add", "path": "/a/-", "value": 2}], id="append"),
        pytest.param({}, {"a": [1]}, [{"op": "add", "path": "/a", "value": [1]}], id="no append to an absent array"),
        pytest.param({"a": None}, {"a": [1]}, [{"op": "add", "path": "/a", "value": [1]}], id="nor to a null one"),
        pytest.param({"a": [2]}, {"a": [1, 2]}, [{"op": "add", "path": "/a/0", "value": 1}], id="insert"),
        pytest.param(
            {"a": [1, 2, 3]},
            {"a": [2]},
            [{"op": "remove", "path": "/a/2"}, {"op": "remove", "path": "/a/0"}],
            id="remove from the end, so that indices stay true",
        ),
        pytest.param(
            {"a": [{"name": "x"}, {"name": "mcp"}]},
            {"a": [{"name": "x"}, {"name": "mcp", "envFrom": [1]}]},
            [{"op": "add", "path": "/a/1/envFrom", "value": [1]}],
            id="named entries are changed in place",
        ),
    ],
)
def test_patches_are_minimal(before: Any, after: Any, operations: Any) -> None:
    assert diff(before, after) == operations
