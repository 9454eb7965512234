"""Decides how a consumer must change before it is stored, and whether its author may. Pure.

The rule itself is `shared.wiring`; here stand the cases that only an admission request knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from shared.consumers import injection
from shared.consumers.access import is_shared_with
from shared.consumers.reference import ANNOTATION, ANNOTATIONS, FIELD
from shared.consumers.targets import ANNOTATION as TARGET
from shared.consumers.targets import Target, target_of
from shared.errors import InvalidSpec
from shared.objects.field_path import dotted, put, read, shown, without
from webhook.admission import consumer_warnings
from webhook.admission.access_question import Question
from webhook.admission.json_patch import diff
from webhook.admission.review import Allow, Deny, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.consumers.reference import StorageReference
    from shared.objects.resources import Key, Object
    from webhook.admission.review import AdmissionRequest, Decision

_NAMESPACE: Final = ("metadata", "namespace")


class Writing(NamedTuple):
    """A consumer that is being written, and what it says of its storage.

    Attributes:
        request: What was asked for.
        consumer: As it would be stored, with its namespace; None if there is nothing to decide about it.
        reference: The storage on which the decision depends, if it does on any.
        problems: What is wrong with the reference.
    """

    request: AdmissionRequest
    consumer: Object | None
    reference: StorageReference | None = None
    problems: tuple[str, ...] = ()


def writing_of(request: AdmissionRequest) -> Writing:
    """Read a request about a consumer of any kind in `KINDS`."""
    consumer, previous = request.written, request.old_object
    if consumer is None or _is_untouched(consumer, previous):
        return Writing(request, None)
    if read(consumer, _NAMESPACE) is None:
        consumer = put(consumer, _NAMESPACE, request.namespace)
    try:
        return Writing(request, consumer, _reference(consumer, previous))
    except InvalidSpec as error:
        return Writing(request, consumer, problems=tuple(error.problems))


def question(writing: Writing, storages: Mapping[Key, Object]) -> Question | None:
    """Tell what has to be found out before this can be decided; mostly nothing.

    Whoever makes a reference to a storage that is not shared with the namespace needs the right to use it. Who
    writes the object later, as ToolHive's operator does, is asked about too, but never refused: a reference that
    nobody has judged yet is granted by the first author who has the right.
    """
    request, reference = writing.request, writing.reference
    if reference is None or not _needs_right(request, reference, storages):
        return None
    return Question(request.user, reference.key)


def decide(
    writing: Writing,
    storages: Mapping[Key, Object],
    default_target: Target,
    *,
    may_use: bool | None = False,
) -> Decision:
    """Wire a consumer that refers to a storage, unwire one that no longer does.

    Args:
        writing: What is written.
        storages: Every SessionStorage that is known; one that is missing may come later.
        default_target: For consumers that do not say which of their parts are meant.
        may_use: The answer to `question`; None if it could not be found out.
    """
    request, consumer, reference, problems = writing
    if consumer is None:
        return Allow()
    if problems:
        return Deny((*problems, *_problems_of_target(consumer)))
    previous = request.old_object
    if reference is None:
        return _changed(consumer, injection.unwire(consumer, previous=previous), ())
    if _needs_right(request, reference, storages):
        if not may_use and not _is_same(reference, previous):
            refusal = _refusal(request, consumer, reference, may_use=may_use)
            return Deny((refusal, *_problems_of_target(consumer)), reason="Forbidden")
        granted = may_use is True
    else:
        granted = previous is not None and injection.is_granted(previous, reference)
    try:
        wired = _wired(consumer, reference, storages, injection.Circumstances(default_target, previous, granted))
    except InvalidSpec as error:
        return Deny(error.problems)
    return _changed(consumer, wired, consumer_warnings.warnings(wired, reference, storages.get(reference.key)))


def _reference(consumer: Object, previous: Object | None) -> StorageReference | None:
    """Read the reference; one that ToolHive's CRD has lost is remembered.

    While the CRD lacks the field, the API server prunes it from the stored object as well as from the new one.
    """
    is_lost = previous is not None and not injection.has_field(previous)
    return injection.reference_of(consumer, remembered=previous if is_lost else None)


def _needs_right(request: AdmissionRequest, reference: StorageReference, storages: Mapping[Key, Object]) -> bool:
    if reference.namespace == request.namespace:
        return False
    storage, previous = storages.get(reference.key), request.old_object
    if storage is not None and is_shared_with(storage, request.namespace):
        return False
    return previous is None or not injection.is_granted(previous, reference)


def _is_same(reference: StorageReference, previous: Object | None) -> bool:
    """Tell whether the stored object has this reference already: then it was somebody else who made it."""
    try:
        return previous is not None and injection.reference_of(previous, remembered=previous) == reference
    except InvalidSpec:
        return False


def _refusal(request: AdmissionRequest, consumer: Object, reference: StorageReference, *, may_use: bool | None) -> str:
    path = dotted(FIELD if reference.is_by_field else ANNOTATION)
    if may_use is None:
        return (
            f'{path}: Forbidden: whether you may use SessionStorage "{reference}" cannot be found out at the moment:'
            " try again"
        )
    return (
        f'{path}: Forbidden: user {shown(request.user.get("username"))} may not use SessionStorage "{reference}" from'
        f' namespace "{consumer["metadata"]["namespace"]}": it takes the verb "use" on'
        f' sessionstorages.toolhive.stacklok.dev "{reference.name}" in namespace "{reference.namespace}" (bind the'
        " ClusterRole of this product whose name ends in -use), or this namespace in spec.allowedNamespaces of the"
        " storage"
    )


def _problems_of_target(consumer: Object) -> tuple[str, ...]:
    try:
        target_of(consumer, Target.ALL)
    except InvalidSpec as error:
        return error.problems
    return ()


def _wired(
    consumer: Object, reference: StorageReference, storages: Mapping[Key, Object], known: injection.Circumstances
) -> Object:
    """Wire a consumer; a target that makes no sense does not hide what else is wrong.

    Raises:
        InvalidSpec: With all problems.
    """
    try:
        return injection.desired(consumer, reference, storages, known)
    except InvalidSpec:
        problems = _problems_of_target(consumer)
        if not problems:
            raise
    try:
        injection.desired(without(consumer, TARGET), reference, storages, known)
    except InvalidSpec as error:
        problems += error.problems
    raise InvalidSpec(problems)


def _changed(consumer: Object, desired: Object, warnings: tuple[str, ...]) -> Decision:
    operations = diff(consumer, desired)
    return Patch(operations, warnings) if operations else Allow(warnings)


def _is_untouched(consumer: Object, previous: Object | None) -> bool:
    """Tell whether a write is about something else, such as a finalizer: it passes whatever the rules are now."""
    if previous is None:
        return False
    return bool(
        consumer.get("spec") == previous.get("spec") and read(consumer, ANNOTATIONS) == read(previous, ANNOTATIONS)
    )
