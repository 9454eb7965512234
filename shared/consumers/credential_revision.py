"""The stamp on a consumer that says which revision of its storage's credential its pods were started for. Pure.

The reconciler writes it as an annotation of the consumer; wiring copies the revision into the pod templates, so that
ToolHive's operator rolls the pods. A pod that carries it was started after it was written, whatever any clock says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from shared.consumers.reference import ANNOTATIONS
from shared.names import ANNOTATION_REVISION
from shared.objects.field_path import read

if TYPE_CHECKING:
    from shared.objects.resources import Object

STAMP: Final = (*ANNOTATIONS, ANNOTATION_REVISION)
_REVISION: Final = re.compile("[-A-Za-z0-9]{1,63}")
"""What we write is of this form. Users can write annotations too, and what they write must not end in a record that
neither its reader nor the policy of the API server understands."""
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A revision, and when a consumer got it.

    Attributes:
        revision: Names the credential, and says nothing about it.
        at: When it was written; for people, and for giving up on a consumer.
    """

    revision: str
    at: datetime

    @property
    def text(self) -> str:
        """The annotation's value."""
        return f"{self.revision}@{self.at.astimezone(UTC).strftime(_TIME)}"

    @classmethod
    def of(cls, consumer: Object) -> Self | None:
        """Read the stamp of a consumer; None if it has none, or nothing intelligible."""
        text = read(consumer, STAMP)
        if not isinstance(text, str):
            return None
        revision, _, at = text.partition("@")
        if not _REVISION.fullmatch(revision):
            return None
        try:
            return cls(revision, datetime.strptime(at, _TIME).replace(tzinfo=UTC))
        except ValueError:
            return None
