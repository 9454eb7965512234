"""What a server is that takes no writes, or is no plain primary, is told by a reason that does not change."""

from __future__ import annotations

import pytest

from reconciler.credentials.login import Credentials
from reconciler.state.external_store import DialResult, Outcome
from reconciler.valkey.bounded_replies import ErrorReply, Reply
from reconciler.valkey.external_answers import NOT_REDIS, Probe

LOGIN = Credentials("ann", "hunter2")
PROBE = Probe(LOGIN, 3, "name", "value")
NAMES = ("AUTH", "HELLO", "SELECT", "PING", "SET", "GET")


def error(text: str) -> ErrorReply:
    return ErrorReply(text.partition(" ")[0], text)


def hello(mode: str = "standalone", role: str = "master") -> list[Reply]:
    return ["server", "valkey", "proto", 2, "mode", mode, "role", role, "modules", []]


def judged(**answers: Reply) -> DialResult:
    good: dict[str, Reply] = {"AUTH": "OK", "HELLO": hello(), "SELECT": "OK", "PING": "PONG", "SET": "OK"}
    replies = good | {"GET": "value"} | answers
    return PROBE.judge([replies[name] for name in NAMES])


def test_what_is_asked_is_little_and_ends_by_itself() -> None:
    key = "thv:session-storage:probe:{thv:session-storage:probe}:name"
    assert PROBE.commands == (
        ("AUTH", "ann", "hunter2"),
        ("HELLO", "2"),
        ("SELECT", "3"),
        ("PING",),
        ("SET", key, "value", "EX", "10"),
        ("GET", key),
    )
    assert "hunter2" not in repr(PROBE)
    assert Probe(Credentials("", "p"), 0, "n", "v").commands[0] == ("AUTH", "p")
    assert Probe(Credentials(), 0, "n", "v").commands[0] == ("HELLO", "2")


def test_a_plain_primary_is_fine_whether_it_knows_hello_or_not() -> None:
    assert judged().is_ok
    assert judged(HELLO=error("ERR unknown command 'HELLO'")).is_ok
    assert judged(HELLO=error("NOPERM this user has no permissions")).is_ok
    assert judged(HELLO=["odd"]).is_ok


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"HELLO": hello("sentinel")}, Outcome.SENTINEL),
        ({"HELLO": hello("sentinel"), "AUTH": error("ERR AUTH <password> called without any")}, Outcome.SENTINEL),
        ({"HELLO": error("ERR unknown command"), "SELECT": error("ERR unknown command 'SELECT'")}, Outcome.SENTINEL),
        ({"HELLO": hello("cluster")}, Outcome.CLUSTER),
        ({"HELLO": hello("cluster"), "SELECT": error("ERR SELECT is not allowed in cluster mode")}, Outcome.CLUSTER),
        ({"HELLO": hello("cluster"), "SET": error("MOVED 1 10.0.0.1:1")}, Outcome.CLUSTER),
        ({"HELLO": error("NOPERM no"), "SET": error("MOVED 1 10.0.0.1:1")}, Outcome.CLUSTER),
        ({"SET": error("CLUSTERDOWN Hash slot not served")}, Outcome.CLUSTER),
        ({"HELLO": hello(role="replica")}, Outcome.READ_ONLY),
        ({"HELLO": hello(role="slave"), "SET": error("LOADING")}, Outcome.READ_ONLY),
        ({"SET": error("READONLY You can't write against a read only replica.")}, Outcome.READ_ONLY),
        ({"PING": error("MASTERDOWN Link with MASTER is down")}, Outcome.READ_ONLY),
        ({"PING": error("MISCONF Valkey is configured to save RDB snapshots")}, Outcome.CANNOT_SAVE),
        ({"SET": error("OOM command not allowed when used memory > 'maxmemory'.")}, Outcome.OUT_OF_MEMORY),
        ({"SELECT": error("LOADING Valkey is loading the dataset in memory")}, Outcome.LOADING),
        ({"SELECT": error("BUSY Valkey is busy running a script.")}, Outcome.BUSY),
        ({"SET": error("NOREPLICAS Not enough good replicas to write.")}, Outcome.NO_REPLICAS),
        ({"AUTH": error("WRONGPASS invalid username-password pair")}, Outcome.AUTH),
        ({"AUTH": error("WRONGPASS no"), "HELLO": error("NOAUTH"), "SET": error("NOAUTH")}, Outcome.AUTH),
        ({"AUTH": error("ERR AUTH <password> called without any password configured")}, Outcome.AUTH),
        ({"PING": error("NOPERM this user has no permissions to run PING")}, Outcome.AUTH),
        ({"SELECT": error("ERR DB index is out of range")}, Outcome.UNUSABLE),
        ({"SET": error("ERR something new")}, Outcome.UNUSABLE),
        ({"GET": "another"}, Outcome.UNUSABLE),
        ({"GET": None}, Outcome.UNUSABLE),
    ],
    ids=str,
)
def test_what_takes_no_writes_is_told_apart(answers: dict[str, Reply], outcome: Outcome) -> None:
    assert judged(**answers).outcome is outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("DENIED Valkey is running in protected mode because ...", Outcome.PROTECTED),
        ("ERR max number of clients reached", Outcome.FULL),
        ("ERR max number of clients + cluster connections reached", Outcome.FULL),
    ],
)
def test_a_server_that_hangs_up_after_one_word_is_understood(text: str, outcome: Outcome) -> None:
    assert PROBE.judge([error(text)]).outcome is outcome


def test_a_server_that_hangs_up_without_a_word_does_not_speak_redis() -> None:
    assert PROBE.judge([]) == NOT_REDIS
    assert PROBE.judge(["OK", hello()]) == DialResult(Outcome.UNUSABLE, "it hangs up")


def test_no_word_of_a_server_is_repeated() -> None:
    for name in NAMES:
        for word in ("ERR", "SECRET", "WRONGPASS", "NOPERM", "MOVED"):
            assert "hunter2" not in judged(**{name: error(f"{word} hunter2 hunter2")}).detail
            assert "SECRET" not in judged(**{name: error(f"{word} hunter2")}).detail
