"""Secrets of external stores as people and operators write them: where the store is, and how to log in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.credentials import identities
from reconciler.credentials.login import Credentials
from reconciler.state.external_secret import (
    ExternalConnection,
    SecretProblem,
    connection_of_consumers,
    connection_of_user,
)
from shared.session_storage.endpoint import Endpoint
from shared.session_storage.models import External, parse_spec

ROOT = Path(__file__).parents[4]
SHAPES = sorted((Path(__file__).parent / "secrets").glob("*.yaml"))
SAMPLES = ROOT / "deploy/samples/external"


def content(**values: str) -> Any:
    return {"data": identities.encoded({key.replace("__", "-"): value for key, value in values.items()})}


def read(stated: Any, **values: str) -> ExternalConnection | SecretProblem:
    return connection_of_user(External.model_validate(stated), "team", content(**values))


def found(stated: Any, **values: str) -> ExternalConnection:
    connection = read(stated, **values)
    assert isinstance(connection, ExternalConnection), connection
    return connection


def reason_of(stated: Any, **values: str) -> tuple[str, str]:
    problem = read(stated, **values)
    assert isinstance(problem, SecretProblem)
    return problem.reason, problem.message


NAMED = {"secretRef": "theirs"}
WITH_URL = {"url": "redis://there", "secretRef": "theirs"}


def with_keys(**keys: str) -> Any:
    return {"secretRef": {"name": "theirs", **keys}}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.stem)
def test_what_an_operator_writes_says_where_the_store_is_and_how_to_log_in(shape: Path) -> None:
    recorded = yaml.safe_load(shape.read_text())
    (storage,) = (
        each for each in yaml.safe_load_all((SAMPLES / shape.name).read_text()) if each["kind"] == "SessionStorage"
    )
    external = parse_spec(storage).external
    assert external is not None
    secret = {"data": identities.encoded(recorded["secret"])}
    assert connection_of_user(external, "team", secret) == ExternalConnection(
        Endpoint.of_url(recorded["endpoint"], "team"), Credentials(**recorded["login"])
    )


def test_every_sample_has_a_recorded_secret() -> None:
    assert len(SHAPES) == 5
    assert [shape.name for shape in SHAPES] == sorted(sample.name for sample in SAMPLES.iterdir())


@pytest.mark.parametrize(
    "key", ["password", "authToken", "primaryKey", "attribute.auth_token", "redis-password", "valkey-password"]
)
def test_a_password_is_found_under_its_usual_keys(key: str) -> None:
    assert found(WITH_URL, **{key: "hunter2"}).login == Credentials("", "hunter2")


def test_keys_that_the_user_names_are_the_only_ones_that_count() -> None:
    stated = {"url": "redis://there", **with_keys(passwordKey="pw", usernameKey="who", caKey="ca.pem")}
    values = {"pw": "right", "password": "wrong", "who": "me", "username": "you", "ca.pem": "PEM", "ca.crt": "OTHER"}
    assert found(stated, **values).login == Credentials("me", "right", "PEM")
    reason, message = reason_of(stated, password="wrong")
    assert reason == "SecretKeyMissing"
    assert "no readable key pw" in message


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_a_line_break_at_the_end_is_no_part_of_a_value(ending: str) -> None:
    values = {"password": "hunter2", "username": "me", "host": "a.example.com", "port": "7000", "tls": "false"}
    broken = {key: value + ending for key, value in values.items()}
    assert found(NAMED, **broken) == found(NAMED, **values)
    assert found(NAMED, **broken).login.password == "hunter2"


def test_certificates_are_handed_on_as_they_are() -> None:
    assert found(WITH_URL, **{"password": "p", "ca.crt": "PEM\n"}).login.ca == "PEM\n"
    assert found(WITH_URL, password="p", certificates="PEM\n").login.ca == "PEM\n"


@pytest.mark.parametrize("username", ["default", "default\n", ""])
def test_the_user_default_is_what_a_password_alone_means(username: str) -> None:
    assert found(WITH_URL, password="p", username=username).login == Credentials("", "p")


@pytest.mark.parametrize(
    ("url", "endpoint", "login"),
    [
        ("redis://:p@cache", "redis://cache.team.svc:6379", Credentials("", "p")),
        ("rediss://default:p@h.example.com:25061", "rediss://h.example.com:25061", Credentials("", "p")),
        ("REDISS://me:p%40ss@h.example.com/2", "rediss://h.example.com:6379/2", Credentials("me", "p@ss")),
        ("redis://me:a/b@c:d@h.example.com", "redis://h.example.com:6379", Credentials("me", "a/b@c:d")),
    ],
)
@pytest.mark.parametrize("key", ["url", "uri"])
def test_a_url_in_a_secret_may_hold_the_login(url: str, endpoint: str, login: Credentials, key: str) -> None:
    connection = found(NAMED, **{key: url})
    assert (connection.endpoint.url, connection.login) == (endpoint, login)


def test_keys_of_their_own_come_before_the_login_of_a_url() -> None:
    connection = found(NAMED, url="redis://you:old@h.example.com", password="new", username="me")
    assert connection.login == Credentials("me", "new")


def test_a_url_comes_before_host_and_port() -> None:
    values = {"host": "other.example.com", "port": "1", "tls": "true", "password": "p"}
    assert found(NAMED, uri="redis://h.example.com:7000", **values).endpoint.url == "redis://h.example.com:7000"


def test_a_url_in_the_spec_comes_before_all_that_the_secret_says_of_a_place() -> None:
    values = {"url": "redis://:old@other.example.com", "host": "third.example.com", "password": "p"}
    connection = found(WITH_URL, **values)
    assert (connection.endpoint.host, connection.login.password) == ("there.team.svc", "p")
    assert reason_of(WITH_URL, url="redis://:old@other.example.com")[0] == "SecretKeyMissing"


@pytest.mark.parametrize(
    ("values", "endpoint"),
    [
        ({"host": "redis"}, "rediss://redis.team.svc:6379"),
        ({"endpoint": "h.example.com", "port": "6380"}, "rediss://h.example.com:6380"),
        ({"hostName": "h.example.com", "port": "6379", "sslPort": "6380"}, "rediss://h.example.com:6380"),
        ({"hostName": "h.example.com", "port": "7000", "sslPort": "6380", "tls": "no"}, "redis://h.example.com:7000"),
        ({"host": "h.example.com:7000", "port": "1"}, "rediss://h.example.com:7000"),
        ({"host": "2001:db8::5", "port": "7000", "tls": "False"}, "redis://[2001:db8::5]:7000"),
        ({"host": "[2001:db8::5]:7000", "port": "1"}, "rediss://[2001:db8::5]:7000"),
        ({"host": "10.20.30.3", "port": "", "tls": "1"}, "rediss://10.20.30.3:6379"),
    ],
    ids=repr,
)
def test_a_place_is_put_together_and_speaks_tls_unless_the_secret_says_no(values: Any, endpoint: str) -> None:
    assert found(NAMED, password="p", **values).endpoint.url == endpoint


def test_places_are_found_under_keys_that_the_user_names() -> None:
    stated = with_keys(hostKey="H", portKey="P", tlsKey="T")
    values = {"H": "h.example.com", "P": "7000", "T": "false", "host": "x", "port": "1", "tls": "true"}
    assert found(stated, password="p", **values).endpoint.url == "redis://h.example.com:7000"
    assert found(with_keys(urlKey="U"), U="redis://:p@u.example.com", url="x").endpoint.host == "u.example.com"


@pytest.mark.parametrize(
    ("stated", "values", "reason", "key"),
    [
        (NAMED, {"password": "hunter2"}, "SecretKeyMissing", "host"),
        (NAMED, {"host": "a.example.com"}, "SecretKeyMissing", "password"),
        (NAMED, {"host": "a.example.com", "attribute.auth_token": ""}, "SecretKeyMissing", "password"),
        (NAMED, {"url": "redis://a.example.com"}, "SecretKeyMissing", "password"),
        (with_keys(urlKey="U"), {"password": "hunter2"}, "SecretKeyMissing", "host"),
        (with_keys(hostKey="H"), {"password": "hunter2", "host": "a"}, "SecretKeyMissing", "H"),
        (NAMED, {"host": "hunter2/hunter2", "password": "x"}, "SecretKeyInvalid", "host"),
        (NAMED, {"host": "redis://hunter2", "password": "x"}, "SecretKeyInvalid", "host"),
        (NAMED, {"host": "h@hunter2", "password": "x"}, "SecretKeyInvalid", "host"),
        (NAMED, {"host": "a", "port": "hunter2", "password": "x"}, "SecretKeyInvalid", "port"),
        (NAMED, {"host": "a", "port": "0", "password": "x"}, "SecretKeyInvalid", "port"),
        (NAMED, {"host": "a", "port": "65536", "password": "x"}, "SecretKeyInvalid", "port"),
        (NAMED, {"host": "a", "tls": "hunter2", "password": "x"}, "SecretKeyInvalid", "tls"),
        (NAMED, {"url": "hunter2", "host": "a", "password": "x"}, "SecretKeyInvalid", "url"),
        (NAMED, {"uri": "rediss://:hunter2@a?x=1", "password": "x"}, "SecretKeyInvalid", "uri"),
        (NAMED, {"url": "redis-sentinel://:hunter2@a/m", "password": "x"}, "SecretKeyInvalid", "url"),
    ],
    ids=repr,
)
def test_what_is_missing_or_wrong_is_named_by_its_key_and_never_repeated(
    stated: Any, values: Any, reason: str, key: str
) -> None:
    said, message = reason_of(stated, **values)
    assert said == reason
    assert f"key {key}" in message
    assert "Secret theirs" in message
    assert "hunter2" not in message


def test_a_secret_that_does_not_exist_is_named() -> None:
    stated = {"url": "redis://there", **with_keys(passwordKey="pw")}
    missing = connection_of_user(External.model_validate(stated), "team", None)
    said = "Secret theirs does not exist: create it in this namespace with the key "
    assert missing == SecretProblem("SecretNotFound", f"{said}pw")
    missing = connection_of_user(External.model_validate(NAMED), "team", None)
    assert missing == SecretProblem("SecretNotFound", f"{said}password and the host, or with url")


@pytest.mark.parametrize("value", ["%%%", "/w=="])
def test_a_value_that_is_no_text_counts_as_missing(value: str) -> None:
    problem = connection_of_user(External.model_validate(WITH_URL), "team", {"data": {"password": value}})
    assert isinstance(problem, SecretProblem)
    assert problem.reason == "SecretKeyMissing"


@given(st.dictionaries(st.sampled_from(["url", "host", "port", "tls", "password", "username"]), st.text(max_size=12)))
def test_no_secret_makes_the_reading_fail(values: dict[str, str]) -> None:
    connection = connection_of_user(External.model_validate(NAMED), "team", {"data": identities.encoded(values)})
    assert isinstance(connection, ExternalConnection | SecretProblem)
    if isinstance(connection, ExternalConnection):
        assert Endpoint.of_url(connection.endpoint.url, "other") == connection.endpoint


def test_a_repr_shows_nothing_of_a_secret() -> None:
    assert "hunter2" not in repr(found(NAMED, host="hunter2.example.com", password="hunter2"))


def test_consumers_are_found_where_their_secret_leads() -> None:
    connection = content(REDIS_URL="rediss://me:p@a.example.com:6380/1", REDIS_USERNAME="me", REDIS_PASSWORD="p")
    theirs = connection_of_consumers("team", connection)
    assert theirs == ExternalConnection(Endpoint("a.example.com", 6380, 1, is_tls=True), Credentials("me", "p"))
    # A former release may have written the bare name of a Service.
    bare = connection_of_consumers("team", content(REDIS_URL="redis://there"))
    assert bare == ExternalConnection(Endpoint("there.team.svc", 6379, 0, is_tls=False))


@pytest.mark.parametrize("url", ["", "nonsense", "redis://[::1"])
def test_consumers_are_nowhere_once_their_secret_has_lost_it(url: str) -> None:
    assert connection_of_consumers("team", content(REDIS_URL=url)) is None
