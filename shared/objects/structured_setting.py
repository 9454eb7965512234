"""Settings that are objects or lists, which the chart hands to a process as JSON. Pure.

A setting is a type that is closed to unknown fields. So a misspelt field stops the process as it starts, and no rule is
silently left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.objects.resources import Object


class StructuredSetting(BaseModel):
    """Base of such settings: camelCase in JSON, immutable, without unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a setting; a field that is null counts as absent, as in a Kubernetes object.

        Raises:
            InvalidSettings: The text does not fit; the message names each field that does not.
        """
        try:
            return cls.model_validate(_without_nulls(orjson.loads(text)))
        except orjson.JSONDecodeError as error:
            raise InvalidSettings(f"is no JSON: {error}") from None
        except ValidationError as error:
            # Pydantic begins the text of a ValueError with these words.
            problems = ((each["loc"], each["msg"].removeprefix("Value error, ")) for each in error.errors())
            found = [f"{_path(where)}{problem}" for where, problem in problems]
            raise InvalidSettings("; ".join(found)) from None

    def to_object(self) -> Object:
        """Write the setting as the API server stores it, without absent fields and empty texts, lists and maps.

        A setting within stays even if it is empty, such as a selector, which then selects everything.
        """
        fields = ((field.alias or name, getattr(self, name)) for name, field in type(self).model_fields.items())
        return {
            name: _written(value)
            for name, value in fields
            if isinstance(value, StructuredSetting) or value not in (None, "", (), [], {})
        }


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
        case list():
            return [_without_nulls(item) for item in value]
        case _:
            return value


def _written(value: Any) -> Any:
    match value:
        case StructuredSetting():
            return value.to_object()
        case list() | tuple():
            return [_written(item) for item in value]
        case _:
            return value


def _path(steps: Sequence[str | int]) -> str:
    return f"{'.'.join(map(str, steps))}: " if steps else ""
