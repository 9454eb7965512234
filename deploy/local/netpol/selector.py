"""Decides whether a Kubernetes label selector takes a set of labels. Pure."""

from collections.abc import Mapping

from shared.objects.resources import Object


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Tell whether `labels` meet every term of a LabelSelector; an empty one takes everything."""
    wanted = selector.get("matchLabels") or {}
    requirements = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _is_met(requirement, labels) for requirement in requirements
    )


def _is_met(requirement: Object, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement["key"])
    match requirement["operator"]:
        case "In":
            return value in requirement["values"]
        case "NotIn":  # an absent label is not in the list either
            return value not in requirement["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case unknown:
            raise ValueError(f"no such label selector operator: {unknown}")
