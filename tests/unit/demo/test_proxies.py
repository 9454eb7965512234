"""Whether ToolHive has handed proxies the password of the store that their consumer names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.demo.proxies import PASSWORD_VARIABLE, follows_consumer

if TYPE_CHECKING:
    from deploy.demo.kube import Object


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
