"""Which revision of its storage's credential a consumer's pods should be started with. Pure.

The reconciler writes the revision as an annotation of the consumer. Injection copies it into the pod templates, so
that ToolHive's operator rolls the pods. Therefore a pod that carries a revision started after the reconciler wrote that
revision; no clock has to prove it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from shared.consumers.reference import ANNOTATIONS
from shared.names import ANNOTATION_REVISION
from shared.objects.field_path import read
from shared.objects.timestamps import read_time, written

if TYPE_CHECKING:
    from datetime import datetime

    from shared.objects.resources import Object

REVISION_PATH: Final = (*ANNOTATIONS, ANNOTATION_REVISION)
_REVISION: Final = re.compile("[-A-Za-z0-9]{1,63}")
"""Form of the revisions that the reconciler writes. Users can write annotations too, and no text of theirs may get into
an injection record if the record's reader or the API server's policy could misunderstand it."""


@dataclass(frozen=True, slots=True)
class CredentialRevision:
    """A revision, and since when a consumer has had it.

    Attributes:
        revision: Names the credential, and tells nothing about it.
        at: When the reconciler wrote it; from then on counts how long a rotation waits for the consumer.
        annotation: Name of the annotation that the consumer and its pods have it in.
    """

    revision: str
    at: datetime
    annotation: str = ANNOTATION_REVISION

    @property
    def text(self) -> str:
        """The annotation's value."""
        return f"{self.revision}@{written(self.at)}"

    @classmethod
    def of(cls, consumer: Object, annotation: str = ANNOTATION_REVISION) -> Self | None:
        """Read a consumer's revision; None if it has none, or one that the reconciler cannot have written."""
        text = read(consumer, (*ANNOTATIONS, annotation))
        if not isinstance(text, str):
            return None
        revision, _, at = text.partition("@")
        moment = read_time(at)
        return cls(revision, moment, annotation) if moment is not None and _REVISION.fullmatch(revision) else None
