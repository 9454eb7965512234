"""A user of a Valkey node, and its password. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Login:
    """A user and its password; the password stays out of every text made from it."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r})"
