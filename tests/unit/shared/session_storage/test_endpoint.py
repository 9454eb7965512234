"""URLs as people have them: what each means, for everybody who connects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidSpec
from shared.session_storage.endpoint import Endpoint

CA = "master.c.ab12cd.euw1.cache.amazonaws.com"


def plain(host: str, port: int = 6379, db: int = 0) -> Endpoint:
    return Endpoint(host, port, db, is_tls=False)


def secure(host: str, port: int = 6379, db: int = 0) -> Endpoint:
    return Endpoint(host, port, db, is_tls=True)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        pytest.param("redis://redis-master:6379", plain("redis-master.team.svc"), id="a Service beside the storage"),
        pytest.param("redis://redis-master", plain("redis-master.team.svc"), id="without a port"),
        pytest.param("redis://Redis-Master:6379/", plain("redis-master.team.svc"), id="a slash at the end"),
        pytest.param("redis://redis-master/3", plain("redis-master.team.svc", db=3), id="a database"),
        pytest.param("redis://redis-master.data:6379", plain("redis-master.data"), id="a Service of another namespace"),
        pytest.param("redis://r.data.svc.cluster.local", plain("r.data.svc.cluster.local"), id="a Service in full"),
        pytest.param("redis://redis.:6379", plain("redis."), id="an absolute name"),
        pytest.param("redis://localhost:6379", plain("localhost"), id="the host itself"),
        pytest.param("redis://2130706433:6379", plain("2130706433.team.svc"), id="a number is no address"),
        pytest.param("REDIS://cache.example.com", plain("cache.example.com"), id="scheme in capitals"),
        pytest.param("Rediss://Cache.Example.com/", secure("cache.example.com"), id="host in capitals"),
        pytest.param("VALKEYS://[2001:DB8::5]", secure("2001:db8::5"), id="address in capitals"),
        pytest.param(
            "rediss://my.redis.cache.windows.net:6380", secure("my.redis.cache.windows.net", 6380), id="Azure"
        ),
        pytest.param("rediss://my.redis.cache.windows.net:6380/0", secure("my.redis.cache.windows.net", 6380), id="/0"),
        pytest.param(f"rediss://{CA}:6379", secure(CA), id="ElastiCache"),
        pytest.param("rediss://10.20.30.3:6378", secure("10.20.30.3", 6378), id="Memorystore"),
        pytest.param("redis://[2001:db8::5]:6379", plain("2001:db8::5"), id="IPv6"),
        pytest.param("rediss://[2001:db8::5]:6380/1", secure("2001:db8::5", 6380, 1), id="IPv6 with TLS"),
        pytest.param("redis://-bad:6379", plain("-bad.team.svc"), id="a name that no DNS has"),
        pytest.param("redis://_redis._tcp.x", plain("_redis._tcp.x"), id="underscores"),
        pytest.param("redis://xn--mnchen-3ya.example", plain("xn--mnchen-3ya.example"), id="punycode"),
        pytest.param("redis://host.example.com:6379/16", plain("host.example.com", db=16), id="a high database"),
    ],
)
def test_a_url_means_one_place(url: str, meant: Endpoint) -> None:
    assert Endpoint.of_url(url, "team") == meant


@pytest.mark.parametrize(
    "url",
    [
        "my.redis.cache.windows.net:6380,password=hunter2=,ssl=True,abortConnect=False",
        "rediss://default:hunter2@x.upstash.io:6379",
        "redis://user:p%40hunter2@host/2",
        "redis-sentinel://a:26379,b:26379/mymaster/0",
        "redis+sentinel://a:26379/mymaster",
        "redis://h1:6379,h2:6379",
        "unix:///run/hunter2.sock",
        "redis+unix:///run/hunter2.sock",
        "redis-socket:///run/hunter2.sock",
        "redis://2001:db8::5:6379",
        "redis://[fe80::1%25eth0]",
        "rediss://host:6380?ssl_cert_reqs=none",
        "redis://host/0?protocol=3",
        "redis://münchen.example:6379",
        "redis://host//",
        "redis://host/a",
        "redis:///0",
        "redis://host:0",
        "redis://host:65536",
        "",
        None,
        6379,
    ],
)
def test_anything_else_is_refused_and_not_repeated(url: object) -> None:
    with pytest.raises(InvalidSpec) as refused:
        Endpoint.of_url(url, "team")
    assert "hunter2" not in str(refused.value)


def test_what_is_written_is_read_as_the_same_place() -> None:
    for endpoint in (plain("a.b", 7000, 3), secure("2001:db8::5"), plain("redis.team.svc")):
        assert Endpoint.of_url(endpoint.url, "other") == endpoint


@given(
    scheme=st.sampled_from(["redis", "REDISS", "valkey", "Valkeys"]),
    host=st.from_regex(r"[A-Za-z0-9._-]{1,20}|\[[0-9A-Fa-f:.]{2,20}\]", fullmatch=True),
    rest=st.from_regex(r"(:[0-9]{1,5})?(/[0-9]{0,5})?", fullmatch=True),
)
def test_a_place_that_was_read_never_depends_on_who_connects(scheme: str, host: str, rest: str) -> None:
    try:
        found = Endpoint.of_url(f"{scheme}://{host}{rest}", "team")
    except InvalidSpec:
        return
    assert found.host == found.host.lower()
    assert Endpoint.of_url(found.url, "other") == found
