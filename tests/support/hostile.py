"""Admission reviews that nobody should send, made from good ones at random; a seed makes them repeatable."""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from shared.names import ANNOTATION_INJECTION, ANNOTATION_STORAGE, ANNOTATION_TARGETS
from tests.support.generated import LEAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.objects.resources import Object

JSON: Final = "application/json"
UID: Final = "705ab4f5-6393-11e8-b7cc-42010a800002"
LARGE: Final = 2**21
"""Bytes that an API server still passes on."""
BOMB: Final = 64 * 2**20
"""Bytes into which a small compressed body unfolds."""


@dataclass(frozen=True)
class Post:
    """One request that is valid HTTP.

    Attributes:
        path: Path of the URL.
        body: Body as it is sent.
        headers: Headers besides `Content-Length`.
        method: HTTP method.
    """

    path: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": JSON})
    method: str = "POST"


def review(obj: Object | None, old: Object | None = None, **request: Any) -> Object:
    """Write a sound review."""
    operation = "DELETE" if obj is None else "CREATE" if old is None else "UPDATE"
    user = {"username": "ann", "uid": "1", "groups": ["system:authenticated"], "extra": {"scopes": ["a"]}}
    asked = {"uid": UID, "operation": operation, "namespace": "default", "userInfo": user, "object": obj, **request}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": asked if old is None else {**asked, "oldObject": old},
    }


def _consumer(kind: str) -> Object:
    container = {
        "name": "mcp",
        "env": [{"name": "REDIS_URL", "value": "x"}],
        "envFrom": [{"secretRef": {"name": "own"}}],
    }
    template = {"metadata": {"labels": {"own": "label"}}, "spec": {"containers": [container, {"name": "vmcp"}]}}
    record = {
        "by": "field",
        "for": "all",
        "granted": True,
        "made": ["/spec/sessionStorage"],
        "put": {"/spec/sessionStorage/keyPrefix": "own:"},
        "storage": "far/mine",
    }
    annotations = {ANNOTATION_STORAGE: "far/mine", ANNOTATION_TARGETS: "all", ANNOTATION_INJECTION: json.dumps(record)}
    return {
        "apiVersion": "toolhive.stacklok.dev/v1beta1",
        "kind": kind,
        "metadata": {"name": "srv", "namespace": "default", "annotations": annotations},
        "spec": {
            **LEAST[kind],
            "sessionStorageRef": {"name": "mine", "namespace": "far"},
            "podTemplateSpec": template,
            "secrets": [{"name": "s", "key": "k", "targetEnvName": "REDIS_PASSWORD"}],
            "sessionStorage": {"keyPrefix": "own:"},
        },
    }


def _storage(**spec: Any) -> Object:
    return {"metadata": {"name": "mine", "namespace": "default", "annotations": {"a": "b"}}, "spec": spec}


def _deployment() -> Object:
    owner = {
        "kind": "MCPServer",
        "name": "srv",
        "uid": "1",
        "controller": True,
        "apiVersion": "toolhive.stacklok.dev/v1",
    }
    container = {"name": "toolhive", "envFrom": [{"secretRef": {"name": "mine-connection"}}]}
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "srv",
            "ownerReferences": [owner],
            "annotations": {ANNOTATION_INJECTION: "mine-connection"},
        },
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def good() -> list[tuple[str, Object]]:
    """Sound reviews for every path, with many of the fields that decisions read."""
    external = _storage(external={"url": "redis://there:6379/1", "secretRef": "auth"}, size="small")
    found: list[tuple[str, Object]] = [
        ("/mutate/sessionstorages", review(_storage(size="small", allowedNamespaces=["a"]))),
        ("/mutate/sessionstorages", review(external, _storage(size="large"))),
        ("/mutate/deployments", review(_deployment())),
        ("/mutate/deployments", review(_deployment(), _deployment())),
        ("/validate/deletions", review(None, _storage(size="small"))),
    ]
    for kind in LEAST:
        consumer = _consumer(kind)
        bare = {**consumer, "metadata": {"name": "srv", "namespace": "default"}, "spec": LEAST[kind]}
        found += [
            ("/mutate/consumers", review(consumer)),
            ("/mutate/consumers", review(bare, consumer)),
            ("/mutate/consumers", review(consumer, bare)),
        ]
    return found


class Hostile:
    """Draws hostile requests at random."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self._good = good()

    def posts(self, count: int) -> Iterator[Post]:
        """Draw a number of requests; one in two hundred is large."""
        usual: list[Callable[[], Post]] = [
            self._bent, self._bent, self._bent, self._bent, self._lacking, self._deep, self._doubled, self._token,
            self._bytes, self._cut, self._other, self._typed, self._lost, self._encoded,
        ]  # fmt: skip
        for number in range(count):
            make = self._large if number % 200 == 199 else self._chance.choice(usual)
            yield make()

    def _drawn(self) -> tuple[str, Object]:
        path, asked = self._chance.choice(self._good)
        return path, copy.deepcopy(asked)

    def _somewhere(self, asked: Object) -> tuple[Any, Any]:
        """Choose a place by its container and its key there; places deep inside are as likely as those at the top."""
        places = [place for place in _places(asked) if place[0] is not asked] or [(asked, "request")]
        return self._chance.choice(places)

    def _junk(self) -> Any:
        chance = self._chance
        return chance.choice(
            [
                None, True, False, 0, -1, 2**63, -(2**63), 1e308, 0.1, "", " ", "x" * 300, "/", "a/b/c", "..", "\u0000",
                "\U0001f600", "\u2028", "redis://u:p@h", "redis://[::1", [], {}, [[]], [None], [{}], {"": None},
                {"name": None}, {"name": {"name": []}}, [1, "a", None, {}], {"secretRef": {"name": []}},
                {"__proto__": {}, "deletionTimestamp": 1}, list(range(50)), {str(number): {} for number in range(50)},
            ]
        )  # fmt: skip

    def _bent(self) -> Post:
        """Put a value of another type in one place, or in several."""
        path, asked = self._drawn()
        for _ in range(self._chance.choice([1, 1, 2, 5])):
            holder, key = self._somewhere(asked)
            holder[key] = self._junk()
        return Post(path, json.dumps(asked).encode())

    def _lacking(self) -> Post:
        path, asked = self._drawn()
        holder, key = self._somewhere(asked)
        del holder[key]
        return Post(path, json.dumps(asked).encode())

    def _marked(self, replacement: str) -> Post:
        """Put text somewhere that no JSON writer would write."""
        path, asked = self._drawn()
        holder, key = self._somewhere(asked)
        holder[key] = "<mark>"
        return Post(path, json.dumps(asked).replace('"<mark>"', replacement).encode())

    def _deep(self) -> Post:
        depth = self._chance.choice([50, 200, 253, 255, 300, 500, 900, 1000, 1020, 1030, 5000, 100_000])
        opening, closing = self._chance.choice([("[", "]"), ('{"a":', "}"), ('{"spec":', "}"), ('[{"name":', "}]")])
        return self._marked(opening * depth + "1" + closing * depth)

    def _doubled(self) -> Post:
        path, asked = self._drawn()
        text = json.dumps(asked)
        key = self._chance.choice(["uid", "object", "metadata", "spec", "name", "kind", "request", "apiVersion"])
        return Post(path, text.replace(f'"{key}":', f'"{key}": {json.dumps(self._junk())}, "{key}":').encode())

    def _token(self) -> Post:
        digits = "9" * self._chance.choice([19, 20, 21, 400, 5000])
        tokens = ["NaN", "Infinity", "-Infinity", digits, f"-{digits}", f"0.{digits}", "1e999", "-0", "01", "+1", "0x1"]
        texts = ['"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\x"', "'a'", "undefined", "[1,]", "{,}", '"\t"']
        return self._marked(self._chance.choice(tokens + texts))

    def _bytes(self) -> Post:
        post = self._bent()
        at = self._chance.randrange(len(post.body))
        wrong = self._chance.choice(
            [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x00", b"\xef\xbb\xbf"]
        )
        return Post(post.path, post.body[:at] + wrong + post.body[at:])

    def _cut(self) -> Post:
        post = self._bent()
        return Post(post.path, post.body[: self._chance.randrange(len(post.body))])

    def _other(self) -> Post:
        path, _ = self._drawn()
        bodies = [
            b"",
            b" ",
            b"null",
            b"7",
            b'"x"',
            b"[]",
            b"{}",
            b"[{}]",
            b"\xef\xbb\xbf{}",
            self._chance.randbytes(200),
        ]
        return Post(path, self._chance.choice(bodies))

    def _typed(self) -> Post:
        post = self._bent()
        kinds = ["text/plain", "", "*/*", "application/yaml", "application/json,text/plain", "a" * 4000]
        kinds += [f"{JSON}; charset={charset}" for charset in ("utf-16", "no-such", "")] + ["multipart/form-data"]
        return Post(post.path, post.body, {"Content-Type": self._chance.choice(kinds)})

    def _lost(self) -> Post:
        post = self._bent()
        paths = ["/", "/mutate", "/mutate/", "/mutate/consumers/", "/mutate/consumers?timeout=5s", "//mutate/consumers",
                 "/metrics", "/%00", "/%ff", "/../etc/passwd", "/" + "a" * 2000, post.path]  # fmt: skip
        methods = ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST", "MKCOL"]
        return Post(self._chance.choice(paths), post.body, method=self._chance.choice(methods))

    def _encoded(self) -> Post:
        post = self._bent()
        encodings = {"gzip": gzip.compress(post.body), "deflate": zlib.compress(post.body), "br": post.body, "x": b"x"}
        encoding = self._chance.choice(sorted(encodings))
        body = self._chance.choice([encodings[encoding], encodings[encoding][:-3], post.body])
        return Post(post.path, body, {"Content-Type": JSON, "Content-Encoding": encoding})

    def _large(self) -> Post:
        path, asked = self._drawn()
        holder, key = self._somewhere(asked)
        match self._chance.randrange(4):
            case 0:
                holder[key] = "x" * LARGE
            case 1:
                holder[key] = [{"name": "mcp"}] * (LARGE // 16)
            case 2:
                holder[key] = {str(number): None for number in range(LARGE // 16)}
            case _:
                body = gzip.compress(b" " * BOMB)
                return Post(path, body, {"Content-Type": JSON, "Content-Encoding": "gzip"})
        return Post(path, json.dumps(asked).encode())


def _places(instance: Any) -> Iterator[tuple[Any, Any]]:
    keys = instance.keys() if isinstance(instance, dict) else range(len(instance)) if isinstance(instance, list) else ()
    for key in keys:
        yield instance, key
        yield from _places(instance[key])


def not_http() -> list[bytes]:
    """Bytes that are not HTTP, or not valid HTTP; each is for a connection of its own."""
    body = json.dumps(good()[0][1]).encode()
    head = f"POST /mutate/consumers HTTP/1.1\r\nHost: a\r\nContent-Type: {JSON}\r\n".encode()
    sound = head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    return [
        b"\x00" * 100,
        b"\xff\xfe" * 5000,
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /mutate/consumers HTTP/1.0\r\nContent-Type: application/json\r\n\r\n",
        b"POST /mutate/consumers\r\n\r\n",
        b"POST  HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        head + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        head + b"".join(b"X-%d: a\r\n" % number for number in range(50_000)) + b"\r\n",
        head + b"No colon here\r\n\r\n",
        head + b"X: a\r\n folded\r\n\r\n",
        head + b"X\x00Y: a\r\n\r\n",
        head + b"Content-Length: -1\r\n\r\n",
        head + b"Content-Length: many\r\n\r\n",
        head + b"Content-Length: 99999999999999999999\r\n\r\n",
        head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        head + b"Content-Length: 1\r\n\r\n" + body,
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n",
        head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: nonsense\r\n\r\n",
        head + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        head + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
        head + b"Expect: nonsense\r\nContent-Length: 2\r\n\r\n{}",
        sound + b"GARBAGE \x00\x01\x02\r\n\r\n" * 20,
        sound * 20,
        sound[:-10],
        head[:-20],
    ]
