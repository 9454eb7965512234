"""Says in words what a step does, for the log. Pure; the texts hold no password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Apply, Delete, Mark, Replace, Restart, Share, Write, WriteAuth
from reconciler.actions.valkey import (
    Admit,
    Fence,
    Follow,
    InstanceAction,
    LogInAnew,
    Promote,
    Remove,
    Resume,
    Retire,
    SwitchOver,
)
from shared import names

if TYPE_CHECKING:
    from reconciler.actions.plan import Step
    from reconciler.state.instance import Instance
    from shared.objects.resources import Object


def describe(step: Step) -> str:
    """Say what a step does to what."""
    match step:
        case WriteAuth(storage):
            text = f"{'replace' if step.resource_version else 'create'} Secret {names.auth_secret(storage.name)}"
        case Apply(resource, obj):
            text = f"apply {resource.kind} {_name(obj)}"
        case Replace(resource, obj):
            text = f"replace {resource.kind} {_name(obj)}"
        case Write(resource, obj):
            verb = "replace" if "resourceVersion" in obj["metadata"] else "create"
            text = f"{verb} {resource.kind} {_name(obj)}"
        case Share(obj):
            text = f"copy the connection to Secret {obj['metadata']['namespace']}/{_name(obj)}"
        case Delete():
            text = f"delete {step.resource.kind} {step.namespace}/{step.name}"
        case Restart(consumer):
            text = f"restart {consumer}"
        case Mark(pod, role):
            text = f"label pod {_name(pod)} as {role}"
        case _:
            text = _describe_instance_action(step)
    return text


def _describe_instance_action(action: InstanceAction) -> str:
    match action:
        case Admit(instance):
            text = f"have {_pod(instance)} accept the passwords in force"
        case Retire(instance):
            sessions = "" if action.spared is None else " and close their sessions"
            text = f"have {_pod(instance)} refuse the former passwords{sessions}"
        case Promote():
            text = f"promote {_pod(action.instance)} to primary ({action.record.reason})"
        case SwitchOver():
            text = f"move the primary from {_pod(action.old)} to {_pod(action.new)} ({action.record.reason})"
        case Follow(instance, primary):
            text = f"have {_pod(instance)} follow the primary at {primary}"
        case LogInAnew(instance):
            text = f"have {_pod(instance)} log in to its primary with the present password"
        case Fence(instance, replicas):
            text = f"set min-replicas-to-write of {_pod(instance)} to {replicas}"
        case Resume():
            text = f"have {_pod(action.instance)} take writes again"
        case Remove():
            text = f"remove instance {_name(action.workload)} with its volume"
    return text


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _pod(instance: Instance) -> str:
    return f"pod {_name(instance.pod)}" if instance.pod is not None else f"instance {instance.index}"
