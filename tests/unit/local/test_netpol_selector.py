"""Label selectors, as Kubernetes defines them."""

from typing import Any

import pytest

from deploy.local.netpol.selector import matches


def requirement(operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "app", "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({}, {}, True),
        ({"matchLabels": {"app": "a"}}, {"app": "a", "x": "y"}, True),
        ({"matchLabels": {"app": "a"}}, {"app": "b"}, False),
        ({"matchLabels": {"app": "a", "x": "y"}}, {"app": "a"}, False),
        (requirement("In", "a", "b"), {"app": "b"}, True),
        (requirement("In", "a", "b"), {"app": "c"}, False),
        (requirement("In", "a"), {}, False),
        (requirement("NotIn", "a"), {"app": "a"}, False),
        (requirement("NotIn", "a"), {"app": "b"}, True),
        (requirement("NotIn", "a"), {}, True),
        (requirement("Exists"), {"app": ""}, True),
        (requirement("Exists"), {}, False),
        (requirement("DoesNotExist"), {"app": ""}, False),
        (requirement("DoesNotExist"), {}, True),
        ({"matchLabels": {"x": "y"}, **requirement("Exists")}, {"app": "a"}, False),
    ],
)
def test_a_selector_takes_labels(selector: dict[str, Any], labels: dict[str, str], *, expected: bool) -> None:
    assert matches(selector, labels) is expected


def test_an_operator_that_kubernetes_does_not_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="Near"):
        matches(requirement("Near"), {})
