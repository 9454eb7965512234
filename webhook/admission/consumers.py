"""Decides how a consumer must change before it is stored, and whether its author may store it. Pure.

The rule itself is `shared.consumers.injection`; this module adds the cases that only an admission request shows.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from shared.consumers import injection
from shared.consumers.access import is_service_account, is_shared_with
from shared.consumers.injection import InjectionContext
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.reference import ANNOTATION_PATH, ANNOTATIONS, FIELD_PATH
from shared.consumers.stored_consumer import StoredConsumer, effective_reference
from shared.consumers.targets import ANNOTATION_PATH as TARGETS_PATH
from shared.consumers.targets import Target, target_of
from shared.errors import InvalidSpec
from shared.objects.field_path import dotted, put, read, shown, without
from shared.objects.resources import SESSION_STORAGES
from webhook.admission import consumer_warnings
from webhook.admission.json_patch import diff
from webhook.admission.review import Allow, Deny, Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.consumers.injection import Injection
    from shared.consumers.reference import StorageReference
    from shared.objects.resources import Key, Object
    from webhook.admission.review import AdmissionRequest, Decision

_NAMESPACE: Final = ("metadata", "namespace")


class ConsumerWrite(NamedTuple):
    """A consumer that somebody creates or updates, and what it says of its storage.

    Attributes:
        request: The admission request.
        consumer: As the API server would store it, with its namespace; None if there is nothing to decide about it.
        reference: The storage on which the decision depends, if it depends on one.
        stored: Record of what the webhook injected into the stored object; None if it injected nothing.
        problems: What is wrong with the reference.
    """

    request: AdmissionRequest
    consumer: Object | None
    reference: StorageReference | None = None
    stored: InjectionRecord | None = None
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: AdmissionRequest) -> Self:
        """Parse a request about a consumer of any kind in `KINDS`."""
        consumer, previous = request.written, request.old_object
        if consumer is None or _is_untouched(consumer, previous):
            return cls(request, None)
        if read(consumer, _NAMESPACE) is None:
            consumer = put(consumer, _NAMESPACE, request.namespace)
        stored = InjectionRecord.of(previous)
        # While ToolHive's CRD lacks the field, the API server prunes it from the stored object as from the new one.
        is_pruned = previous is not None and read(previous, FIELD_PATH) is None
        try:
            return cls(request, consumer, effective_reference(consumer, stored if is_pruned else None), stored)
        except InvalidSpec as error:
            return cls(request, consumer, stored=stored, problems=tuple(error.problems))

    @property
    def is_granted_already(self) -> bool:
        """Whether somebody with the right to use the storage made the reference, and the stored object says so."""
        return self.stored is not None and self.reference is not None and self.stored.grants(self.reference)


def required_access(write: ConsumerWrite, storages: Mapping[Key, Object]) -> Key | None:
    """Name the storage for which the API server must first review the author's right to use it; most writes need none.

    The author of a reference to a storage that is not shared with the namespace needs the right to use it. Later
    authors, such as ToolHive's operator, are checked as well but never refused: the first one who has the right
    grants a reference that nobody has judged yet.
    """
    reference, namespace = write.reference, write.request.namespace
    if reference is None or reference.namespace == namespace or write.is_granted_already:
        return None
    storage = storages.get(reference.key)
    return None if storage is not None and is_shared_with(storage, namespace) else reference.key


def decide(
    write: ConsumerWrite,
    storages: Mapping[Key, Object],
    default_target: Target,
    *,
    may_use: bool | None = False,
) -> Decision:
    """Inject what a consumer needs to use its storage, or remove what it needed for one that it no longer names.

    Args:
        write: The consumer.
        storages: Every known SessionStorage; one that is missing may be created later.
        default_target: Which parts of a consumer are connected, if the consumer does not say.
        may_use: The answer to `required_access`; None if the API server did not give one.
    """
    request, consumer, reference, stored, problems = write
    if consumer is None:
        return Allow()
    if problems:
        return Deny((*problems, *_problems_of_target(consumer)))
    if reference is None:
        return _unconnected(consumer, stored)
    storage, is_granted = storages.get(reference.key), write.is_granted_already
    if required_access(write, storages):
        if not may_use and not _is_same(reference, request.old_object):
            problem = _refusal(request, reference, storage, may_use=may_use)
            return Deny((problem, *_problems_of_target(consumer)), reason="Forbidden")
        is_granted = may_use is True
    try:
        injected = _injected(consumer, reference, storage, InjectionContext(default_target, stored, is_granted))
    except InvalidSpec as error:
        return Deny(error.problems)
    warnings = consumer_warnings.warnings(injected, reference, storage)
    return _decision(consumer, injected.consumer, warnings)


def _unconnected(consumer: Object, stored: InjectionRecord | None) -> Decision:
    """Take out what was injected; an object without a reference may still run the auth server of one that has one."""
    try:
        return _decision(consumer, injection.remove(consumer, stored), ())
    except InvalidSpec as error:
        return Deny(error.problems)


def _refusal(
    request: AdmissionRequest, reference: StorageReference, storage: Object | None, *, may_use: bool | None
) -> str:
    """Say why the reference is refused, and what its author can do.

    Args:
        request: Of the author.
        reference: The storage to which the consumer refers.
        storage: The same, if it is known.
        may_use: False if the author's right is missing or does not count; None if the API server did not say.
    """
    path = dotted(FIELD_PATH if reference.is_by_field else ANNOTATION_PATH)
    if may_use is None:
        return (
            f'{path}: Forbidden: the API server did not say in time whether you may use SessionStorage "{reference}":'
            " try again"
        )
    username, namespace, role = str(request.user.get("username")), reference.namespace, f"use-{reference.name}"
    if is_service_account(username):
        who, else_what = (
            "service account",
            ("name this account in the chart's value trustedServiceAccounts, and give it the right"),
        )
    else:
        who, else_what = "user", "give this user the right"
    return (
        f'{path}: Forbidden: {who} {shown(username)} may not use SessionStorage "{reference}" from namespace'
        f' "{request.namespace}": its owner can share it with this namespace: {_sharing(reference, storage, request)};'
        f" or {else_what}: kubectl create role {role} -n {namespace} --verb=use"
        f" --resource={SESSION_STORAGES.plural}.{SESSION_STORAGES.group} --resource-name={reference.name};"
        f" kubectl create rolebinding {role} -n {namespace} --role={role} --user={shlex.quote(username)}"
    )


def _sharing(reference: StorageReference, storage: Object | None, request: AdmissionRequest) -> str:
    """Write the command that shares a storage with the namespace of a request, and keeps the others."""
    has_list = bool(storage is not None and read(storage, ("spec", "allowedNamespaces")))
    value = f'"{request.namespace}"' if has_list else f'["{request.namespace}"]'
    path = "/spec/allowedNamespaces/-" if has_list else "/spec/allowedNamespaces"
    patch = f'[{{"op":"add","path":"{path}","value":{value}}}]'
    return f"kubectl patch sessionstorage {reference.name} -n {reference.namespace} --type=json -p '{patch}'"


def _is_same(reference: StorageReference, previous: Object | None) -> bool:
    """Tell whether the stored object has this reference already: then somebody else made it."""
    try:
        return previous is not None and StoredConsumer.of(previous).reference == reference
    except InvalidSpec:
        return False


def _problems_of_target(consumer: Object) -> tuple[str, ...]:
    try:
        target_of(consumer, Target.ALL)
    except InvalidSpec as error:
        return error.problems
    return ()


def _injected(
    consumer: Object, reference: StorageReference, storage: Object | None, context: InjectionContext
) -> Injection:
    """Inject; an unknown target does not hide other problems.

    Raises:
        InvalidSpec: With all problems.
    """
    try:
        return injection.desired(consumer, reference, storage, context)
    except InvalidSpec:
        problems = _problems_of_target(consumer)
        if not problems:
            raise
    try:
        injection.desired(without(consumer, TARGETS_PATH), reference, storage, context)
    except InvalidSpec as error:
        problems += error.problems
    raise InvalidSpec(problems)


def _decision(consumer: Object, desired: Object, warnings: tuple[str, ...]) -> Decision:
    operations = diff(consumer, desired)
    return Patch(operations, warnings) if operations else Allow(warnings)


def _is_untouched(consumer: Object, previous: Object | None) -> bool:
    """Tell whether a write leaves spec and annotations as they are; it must pass even if it breaks a newer rule."""
    if previous is None:
        return False
    return bool(
        consumer.get("spec") == previous.get("spec") and read(consumer, ANNOTATIONS) == read(previous, ANNOTATIONS)
    )
