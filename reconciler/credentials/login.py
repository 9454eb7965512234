"""A user of a Valkey instance, and its password. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """A user and its password; the password stays out of its `repr`."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in to a user's own store; an empty string stands for none. Its `repr` shows nothing.

    Attributes:
        username: Valkey's user; empty means `default`.
        password: Its password.
        ca: PEM of the authority that signed the server's certificate; empty means the system's roots.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
