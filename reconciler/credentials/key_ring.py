"""The passwords of a storage while they change: those in use, those to come, those to go. Pure.

All of them are in the auth Secret, beside the `users.acl` that accepts them, so that one write moves a storage on and
no crash can come between a password and its acceptance. Of a password that is refused for good, only its hash stays:
without it nobody could tell what to take out of an instance that still accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from reconciler.credentials import identities
from reconciler.credentials.login import Login
from shared import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.credentials.identities import Identity
    from shared.objects.resources import Object

_STAGED: Final = "next-"
_FORMER: Final = "former-"
KEY_RETIRED: Final = "retired.acl"
"""In the auth Secret: `user hash` of each password that no instance may accept any more, a line each."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every password of a storage, by its key in the auth Secret. Nothing of it is shown.

    Attributes:
        current: What is handed out, and logged in with.
        staged: What will be handed out next.
        former: What was handed out before, and may still be in somebody's hands.
        retired: Hash of what each user's password was before all of these.
    """

    current: Mapping[str, str] = field(default_factory=dict, repr=False)
    staged: Mapping[str, str] = field(default_factory=dict, repr=False)
    former: Mapping[str, str] = field(default_factory=dict, repr=False)
    retired: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, secret: Object | None) -> Self:
        """Read an auth Secret; what is no password of ours is left out."""
        values = identities.decoded((secret or {}).get("data"))
        lines = (line.partition(" ") for line in values.get(KEY_RETIRED, "").splitlines())
        return cls(
            current=_passwords(values, ""),
            staged=_passwords(values, _STAGED),
            former=_passwords(values, _FORMER),
            retired={user: digest for user, _, digest in lines if digest and " " not in digest},
        )

    def login(self, identity: Identity) -> Login:
        """Tell how an identity logs in now; without a password if there is none."""
        return Login(identity.user, self.current.get(identity.key, ""))

    @property
    def generations(self) -> tuple[Mapping[str, str], ...]:
        """Passwords that every instance accepts, a mapping for each generation."""
        return tuple(filter(None, (self.current, self.staged, self.former)))

    @property
    def accepted(self) -> Mapping[str, frozenset[str]]:
        """Hashes that every instance must accept, by user."""
        return identities.hashes(*self.generations)

    @property
    def operators(self) -> tuple[str, ...]:
        """Passwords by which the operator may get into an instance, the likeliest first."""
        key = identities.OPERATOR.key
        return tuple(generation[key] for generation in self.generations if key in generation)

    @property
    def data(self) -> dict[str, str]:
        """Values of the auth Secret."""
        values = dict(self.current)
        values |= {f"{_STAGED}{key}": password for key, password in self.staged.items()}
        values |= {f"{_FORMER}{key}": password for key, password in self.former.items()}
        if self.retired:
            values[KEY_RETIRED] = "".join(f"{user} {digest}\n" for user, digest in sorted(self.retired.items()))
        return values | {names.KEY_USERS_ACL: identities.users_acl(*self.generations)}

    def promoted(self) -> KeyRing:
        """Hand out what was staged, and go on accepting what was handed out before."""
        return KeyRing(current=self.staged, former=self.current, retired=self.retired)

    def settled(self) -> KeyRing:
        """Accept nothing but what is handed out."""
        refused = identities.hashes(self.former)
        retired = {user: digest for user, digests in refused.items() for digest in digests}
        return KeyRing(current=self.current, retired=retired or self.retired)


def _passwords(values: Mapping[str, str], prefix: str) -> dict[str, str]:
    found = {key: values.get(f"{prefix}{key}", "") for key in identities.PASSWORD_KEYS}
    return {key: password for key, password in found.items() if identities.is_password(password)}
