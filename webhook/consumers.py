"""Decides how a consumer must change before it is stored, and whether its author may. Pure.

The rule itself is `shared.wiring`; here stand the cases that only an admission request knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared import wiring
from shared.errors import InvalidSpec
from shared.fieldpath import dotted, put, read, shown, without
from shared.reference import ANNOTATION, ANNOTATIONS, FIELD
from shared.sharing import is_shared_with
from shared.target import ANNOTATION as TARGET
from shared.target import Target, target_of
from webhook import advice
from webhook.access import Question
from webhook.jsonpatch import diff
from webhook.review import Allow, Deny, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.reference import StorageReference
    from shared.resources import Key, Object
    from webhook.review import AdmissionRequest, Decision

_NAMESPACE: Final = ("metadata", "namespace")


def reference(request: AdmissionRequest) -> StorageReference | None:
    """Tell which storage the decision on a request depends on, if it does on any."""
    consumer = _written(request)
    if consumer is None:
        return None
    try:
        return _reference(consumer, request.old_object)
    except InvalidSpec:
        return None


def question(request: AdmissionRequest, referred: StorageReference, storages: Mapping[Key, Object]) -> Question | None:
    """Tell what has to be found out before this request can be decided; mostly nothing.

    Whoever makes a reference to a storage that is not shared with the namespace needs the right to use it. Who
    writes the object later, as ToolHive's operator does, is asked about too, but never refused: a reference that
    nobody has judged yet is granted by the first author who has the right.
    """
    if _needs_right(request.namespace, referred, request.old_object, storages):
        return Question(request.user, referred.key)
    return None


def decide(
    request: AdmissionRequest,
    storages: Mapping[Key, Object],
    default_target: Target,
    *,
    may_use: bool | None = False,
) -> Decision:
    """Wire a consumer that refers to a storage, unwire one that no longer does.

    Args:
        request: About a consumer of any kind in `KINDS`.
        storages: Every SessionStorage that is known; one that is missing may come later.
        default_target: For consumers that do not say which of their parts are meant.
        may_use: The answer to `question`; None if it could not be found out.
    """
    consumer, previous = _written(request), request.old_object
    if consumer is None:
        return Allow()
    try:
        reference = _reference(consumer, previous)
    except InvalidSpec as error:
        return Deny((*error.problems, *_problems_of_target(consumer)))
    if reference is None:
        return _changed(consumer, wiring.unwire(consumer, previous=previous), ())
    if _needs_right(request.namespace, reference, previous, storages):
        if not may_use and not _is_same(reference, previous):
            refusal = _refusal(request, consumer, reference, may_use=may_use)
            return Deny((refusal, *_problems_of_target(consumer)), reason="Forbidden")
        granted = may_use is True
    else:
        granted = previous is not None and wiring.is_granted(previous, reference)
    try:
        wired = _wired(consumer, reference, storages, wiring.Circumstances(default_target, previous, granted))
    except InvalidSpec as error:
        return Deny(error.problems)
    return _changed(consumer, wired, advice.warnings(wired, reference, storages.get(reference.key)))


def _written(request: AdmissionRequest) -> Object | None:
    """Return the object with its namespace, if there is anything to decide about it."""
    consumer = request.written
    if consumer is None or _is_untouched(consumer, request.old_object):
        return None
    return consumer if read(consumer, _NAMESPACE) is not None else put(consumer, _NAMESPACE, request.namespace)


def _reference(consumer: Object, previous: Object | None) -> StorageReference | None:
    """Read the reference; one that ToolHive's CRD has lost is remembered.

    While the CRD lacks the field, the API server prunes it from the stored object as well as from the new one.
    """
    is_lost = previous is not None and not wiring.has_field(previous)
    return wiring.reference_of(consumer, remembered=previous if is_lost else None)


def _needs_right(
    namespace: str, reference: StorageReference, previous: Object | None, storages: Mapping[Key, Object]
) -> bool:
    storage = storages.get(reference.key)
    if reference.namespace == namespace or (storage is not None and is_shared_with(storage, namespace)):
        return False
    return previous is None or not wiring.is_granted(previous, reference)


def _is_same(reference: StorageReference, previous: Object | None) -> bool:
    """Tell whether the stored object has this reference already: then it was somebody else who made it."""
    try:
        return previous is not None and wiring.reference_of(previous, remembered=previous) == reference
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
    consumer: Object, reference: StorageReference, storages: Mapping[Key, Object], known: wiring.Circumstances
) -> Object:
    """Wire a consumer; a target that makes no sense does not hide what else is wrong.

    Raises:
        InvalidSpec: With all problems.
    """
    problems = _problems_of_target(consumer)
    if not problems:
        return wiring.desired(consumer, reference, storages, known)
    try:
        wiring.desired(without(consumer, TARGET), reference, storages, known)
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
