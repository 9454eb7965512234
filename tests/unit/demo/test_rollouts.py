"""Whether ready proxies will also stay, or a rollout is about to replace them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.demo.rollouts import PASSWORD_VARIABLE, follows_consumer, is_complete

if TYPE_CHECKING:
    from deploy.demo.kube import Object


def workload(generation: int = 3, **status: int) -> Object:
    counted = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    return {"metadata": {"generation": generation}, "spec": {"replicas": 2}, "status": counted | status}


def test_a_workload_is_complete_when_all_its_pods_are_of_its_last_template() -> None:
    assert is_complete(workload())


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(workload(generation=4), id="nobody has looked at the change yet"),
        pytest.param(workload(updatedReplicas=1), id="a pod is of the former template"),
        pytest.param(workload(replicas=3), id="a pod is there besides"),
        pytest.param(workload(readyReplicas=1), id="a pod is not ready"),
        pytest.param({"metadata": {"generation": 1}, "spec": {"replicas": 1}}, id="no status yet"),
    ],
)
def test_a_workload_whose_rollout_goes_on_is_not_complete(begun: Object) -> None:
    assert not is_complete(begun)


def consumer(secret: str = "") -> Object:
    reference = {"passwordRef": {"name": secret, "key": "REDIS_PASSWORD"}} if secret else {}
    return {"spec": {"sessionStorage": reference} if secret else {}}


def deployment(secret: str = "") -> Object:
    source = {"secretKeyRef": {"name": secret, "key": "REDIS_PASSWORD"}}
    told = [{"name": PASSWORD_VARIABLE, "valueFrom": source}] if secret else []
    containers = [{"name": "proxy", "env": [{"name": "LEVEL", "value": "info"}, *told]}, {"name": "beside"}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


@pytest.mark.parametrize("storage", ["", "mine"])
def test_a_deployment_follows_its_consumer_when_it_reads_the_password_of_the_same_store(storage: str) -> None:
    assert follows_consumer(consumer(storage), deployment(storage))


@pytest.mark.parametrize(("said", "told"), [("mine", ""), ("mine", "former"), ("", "former")])
def test_a_deployment_that_reads_another_or_no_password_does_not_follow_its_consumer(said: str, told: str) -> None:
    assert not follows_consumer(consumer(said), deployment(told))
