"""Which objects of a storage are not what they should be, and what the reconciler does about each. Pure.

It writes an object that is wrong, unless it knows that this changes nothing: the API server has refused the same write
a moment ago, or its answer to the same write already differed in the same fields. Then it leaves the object as it is,
says so, and tries again when it wants something else, or after a pause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.actions.kubernetes import Apply, Delete, LabelRole, Replace, Share, Write, WriteAuth
from reconciler.manifests.secrets import auth_secret
from reconciler.plan.drift import differences, managers_of
from reconciler.state.write_outcome import Deviation, Target, digest
from shared.objects.conditions import Finding
from shared.objects.resources import PODS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from reconciler.actions.plan import Step
    from reconciler.state.write_outcome import WriteOutcome
    from shared.objects.resources import Object, Resource

Make: TypeAlias = "Callable[[Resource, Object, Object | None], Step]"

CHANGES_ACCEPTED: Final = "ChangesAccepted"
REFUSED: Final = "ApplyRefused"
CREDENTIAL_COPIED: Final = "CredentialCopied"
COPY_REFUSED: Final = "CopyRefused"
OBJECTS_UNALTERED: Final = "ObjectsUnaltered"
REWRITTEN: Final = "Rewritten"
ADDED_TO: Final = "AddedTo"
SOME_POLICY: Final = "an admission webhook or policy"
LISTED: Final = 5
"""How many objects, or fields of one, a message names; it counts the rest."""
MAX_QUOTED: Final = 512
"""How many characters of the API server's answer a message repeats about one object."""


@dataclass(frozen=True, slots=True)
class Repair:
    """An object that is not what it should be.

    Attributes:
        target: Which object.
        kind: Its kind.
        step: The write that puts it right; None while the reconciler leaves it as it is.
        is_missing: Whether there is no such object.
        refusal: Why the API server refused that write the last time; empty if it did not.
        foreign: What others made of the object, where the reconciler leaves that.
        managers: The field managers that own these fields.
    """

    target: Target
    kind: str
    step: Step | None
    is_missing: bool = False
    refusal: str = ""
    foreign: tuple[Deviation, ...] = ()
    managers: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """Kind and name, for people."""
        return f"{self.kind} {self.target.name}"

    @property
    def is_awaited(self) -> bool:
        """Whether the API server has not taken the object yet as the reconciler wants it."""
        return self.step is not None or bool(self.refusal)


@dataclass(frozen=True, slots=True)
class Mending:
    """Decides about objects, by what became of earlier writes.

    Attributes:
        outcomes: What became of the last write of each target.
        now: When this pass began; aware.
    """

    outcomes: Mapping[Target, WriteOutcome]
    now: datetime

    def object(
        self,
        make: Make,
        resource: Resource,
        desired: Object,
        present: Object | None,
        retired: Sequence[Deviation] = (),
    ) -> Repair | None:
        """Say what is the matter with one object, and what to do about it; None if it is what it should be.

        Args:
            make: Builds the step that puts it right.
            resource: The kind of the object.
            desired: The fields that the reconciler decides.
            present: The object; None if there is none.
            retired: Further fields of `present` that have to go.
        """
        found = frozenset((*differences(desired, present), *retired)) if present is not None else None
        if found is not None and not found:
            return None
        target = Target.of("write", resource, desired)
        repair = Repair(target, resource.kind, make(resource, desired, present), is_missing=present is None)
        last = self.outcomes.get(target)
        if last is None or last.intent != digest(desired):
            return repair
        if last.is_refused_for_good:
            repair = replace(repair, refusal=last.refusal)
        if last.allows(found or frozenset(), self.now):
            return repair
        if repair.refusal or found is None or present is None:
            return replace(repair, step=None)
        foreign = tuple(sorted(found, key=lambda each: (not each.is_addition, each.path)))
        managers = frozenset(who for each in foreign for who in managers_of(present, each.path))
        return replace(repair, step=None, foreign=foreign, managers=managers)

    def objects(
        self,
        make: Make,
        desired: Iterable[tuple[Resource, Object]],
        present: Callable[[Resource, str], Object | None],
    ) -> tuple[Repair, ...]:
        """List the objects that are not what they should be."""
        found = (
            self.object(make, resource, obj, present(resource, obj["metadata"]["name"])) for resource, obj in desired
        )
        return tuple(each for each in found if each is not None)

    def action(self, step: Step) -> Repair | None:
        """Say what is to be done about a step that deletes or labels; None for a step that always has its turn."""
        target = target_of(step)
        if target is None or target.action == "write":
            return None
        last, repair = self.outcomes.get(target), Repair(target, _kind_of(step), step)
        if last is None or last.intent != intent_of(step):
            return repair
        if last.is_refused_for_good:
            repair = replace(repair, refusal=last.refusal)
        # An answer that lacks what the step was to bring about will lack it again.
        return repair if last.allows(last.left, self.now) else replace(repair, step=None, foreign=tuple(last.left))

    def actions(self, steps: Iterable[Step]) -> tuple[tuple[Step, ...], tuple[Repair, ...]]:
        """Sort out the steps that would change nothing.

        Returns:
            The steps to take now, and what there is to say about steps that got nowhere the last time.
        """
        judged = [(step, self.action(step)) for step in steps]
        due = tuple(step for step, repair in judged if repair is None or repair.step is not None)
        return due, tuple(repair for _, repair in judged if repair is not None and (repair.refusal or repair.foreign))


def target_of(step: Step) -> Target | None:
    """Say what a write to Kubernetes is about; None for a step that does more than one write."""
    match step:
        case Apply(resource, obj) | Replace(resource, obj) | Write(resource, obj):
            return Target.of("write", resource, obj)
        case Share(obj):
            return Target.of("write", SECRETS, obj)
        case WriteAuth():
            return Target.of("write", SECRETS, auth_secret(step.storage, step.ring))
        case Delete(resource, namespace, name):
            return Target("delete", resource.plural, namespace, name)
        case LabelRole(pod):
            return Target.of("label", PODS, pod)
        case _:
            return None


def intent_of(step: Step) -> str:
    """Tell by a digest what a write wants; empty for a write whose end nobody has to remember."""
    match step:
        case Apply(_, obj):
            return digest(obj)
        case Replace() | Write() | Share() if step.desired:
            return digest(step.desired)
        case WriteAuth():
            return digest(auth_secret(step.storage, step.ring, step.record.annotations))
        case Delete():
            return digest(step.uid)
        case LabelRole():
            return digest(step.operations)
        case _:
            return ""


def refused(repairs: Iterable[Repair]) -> Finding | None:
    """Tell what the API server refuses, in its own words; None if nothing."""
    told = [f"{each.title}: {each.refusal[:MAX_QUOTED]}" for each in repairs if each.refusal]
    if not told:
        return None
    message = f"Kubernetes refuses {_listed(told)}; the reconciler tries again within a minute"
    return Finding(CHANGES_ACCEPTED, "False", REFUSED, message)


def uncopied(copies: Iterable[Repair]) -> Finding | None:
    """Tell which namespaces refuse a copy of the connection Secret; None if none does."""
    kept_out = (each for each in copies if each.refusal)
    told = [f"{each.target.namespace} refuses {each.title}: {each.refusal[:MAX_QUOTED]}" for each in kept_out]
    if not told:
        return None
    message = f"namespace {_listed(told)}; consumers there wait, and the reconciler tries again within a minute"
    return Finding(CREDENTIAL_COPIED, "False", COPY_REFUSED, message)


def rewritten(repairs: Iterable[Repair]) -> Finding | None:
    """Tell which objects others write otherwise than the reconciler, and who does it; None if nobody does."""
    altered = [each for each in repairs if each.foreign]
    if not altered:
        return None
    added = [each for each in altered if any(field.is_addition for field in each.foreign)]
    told = _listed([_told(each) for each in altered])
    if not added:
        return Finding(OBJECTS_UNALTERED, "False", REWRITTEN, f"{told}; the reconciler leaves that as it is")
    message = (
        f"{told}; whoever adds something there can get at this storage's data and passwords: exempt this namespace from"
        " it unless you trust it; the reconciler leaves it as it is"
    )
    return Finding(OBJECTS_UNALTERED, "False", ADDED_TO, message)


def _told(repair: Repair) -> str:
    fields = _listed([f"{field}{' (added)' if field.is_addition else ''}" for field in repair.foreign])
    return f"{', '.join(sorted(repair.managers)) or SOME_POLICY} changes {fields} of {repair.title}"


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return f"{', '.join(texts[:LISTED])}{more}"


def _kind_of(step: Step) -> str:
    return step.resource.kind if isinstance(step, Delete) else PODS.kind
