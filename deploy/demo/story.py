"""The story, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.demo import refusals, sessions, setting
from deploy.demo.stage import EXTERNAL_NAMESPACE, NAMESPACE, SERVER, STORAGE

if TYPE_CHECKING:
    from deploy.demo.stage import Stage


def tell(stage: Stage) -> None:
    """Tell it from the first step to the last.

    Raises:
        StepFailed: A step failed, and the story ends with it.
    """
    step = stage.narrator.step
    with step("A cluster with unmodified ToolHive"):
        setting.show_cluster(stage)
    with step("The product is installed by Helm"):
        setting.install(stage)
    with step("The proposal's manifests are accepted as they are printed"):
        setting.apply_proposal(stage)
    with step("A medium storage becomes ready"):
        sessions.create_storage(stage)
    with step("An MCP server with two proxies is wired to it by one line"):
        proxies = sessions.create_server(stage)
    with step("A session opens through one proxy"):
        session = sessions.open_session(stage, proxies)
    with step("It goes on through the other proxy"):
        sessions.switch_proxy(stage, proxies, session)
    with step("Both proxies restart, and it goes on"):
        sessions.restart_proxies(stage, proxies, session)
    with step("Valkey is killed, and it goes on"):
        sessions.kill_valkey(stage, proxies, session)
    with step("A stranger is refused by the NetworkPolicy"):
        refusals.turn_stranger_away(stage)
    with step("A bad SessionStorage is refused, with all that is wrong"):
        refusals.refuse_bad_storage(stage)


def farewell(kubeconfig: str) -> str:
    """Say how to look around, and how to clean up."""
    return f"""All of it is still there. To look around:

  export KUBECONFIG={kubeconfig}
  kubectl get sessionstorages -A
  kubectl describe sessionstorage {STORAGE} -n {NAMESPACE}
  kubectl get mcpserver.toolhive.stacklok.dev {SERVER} -n {NAMESPACE} -o yaml

To clean up:

  kubectl delete namespace {NAMESPACE} {EXTERNAL_NAMESPACE}
  kubectl delete sessionstorage prod-storage shared-storage -n toolhive-system
  make cluster-down      # takes away the whole local cluster"""
