"""The steps of the story, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.demo import refusals, sessions, setting
from deploy.demo.stage import EXTERNAL_NAMESPACE, NAMESPACE, SERVER, STORAGE

if TYPE_CHECKING:
    from deploy.demo.stage import Stage


def tell(stage: Stage) -> None:
    """Tell the story from the first step to the last.

    Raises:
        StepFailed: A step failed, and the story ends with it.
    """
    step = stage.narrator.step
    with step("A cluster with unmodified ToolHive"):
        setting.show_cluster(stage)
    with step("Helm installs the product"):
        setting.install(stage)
    with step("The API server accepts the proposal's manifests as they are printed"):
        setting.apply_proposal(stage)
    with step("The README's example: one file asks for a storage and for an MCP server that uses it"):
        sessions.apply_example(stage)
    with step("The webhook has wired the server's two proxies to the storage"):
        proxies = sessions.show_wiring(stage)
    with step("A client opens a session through one proxy"):
        session = sessions.open_session(stage, proxies)
    with step("The session goes on through the other proxy"):
        sessions.switch_proxy(stage, proxies, session)
    with step("Both proxies restart, and the session goes on"):
        sessions.restart_proxies(stage, proxies, session)
    with step("Valkey is killed, and the session goes on"):
        sessions.kill_valkey(stage, proxies, session)
    with step("The NetworkPolicy keeps a stranger out"):
        refusals.turn_stranger_away(stage)
    with step("The webhook refuses a bad SessionStorage and names everything that is wrong with it"):
        refusals.refuse_bad_storage(stage)


def farewell(kubeconfig: str) -> str:
    """Say how to look around, and how to clean up."""
    return f"""Everything still runs. To look around:

  export KUBECONFIG={kubeconfig}
  kubectl get sessionstorages -A
  kubectl describe sessionstorage {STORAGE} -n {NAMESPACE}
  kubectl get mcpserver.toolhive.stacklok.dev {SERVER} -n {NAMESPACE} -o yaml

To clean up:

  kubectl delete namespace {NAMESPACE} {EXTERNAL_NAMESPACE}
  kubectl delete sessionstorage prod-storage shared-storage -n toolhive-system
  make cluster-down      # removes the whole local cluster"""
