"""The passwords of a storage: the current ones, and while they change the next and the former ones. Pure.

The auth Secret holds all of them, beside the `users.acl` that accepts them. So one write changes both, and no crash can
come between a password and its acceptance. Of a password that no instance may accept any more, the Secret keeps only
the hash: without it the reconciler could not tell what to take out of an instance that still accepts it.
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
"""Key in the auth Secret; its value has a line `user hash` for each password that no instance may accept any more."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every password of a storage, by its key in the auth Secret. Its `repr` shows none.

    Attributes:
        current: The passwords that consumers get, and that every identity logs in with.
        staged: The passwords that consumers get next.
        former: The passwords that consumers got before, and may still use.
        retired: Hash of the password that each user had before all of these.
    """

    current: Mapping[str, str] = field(default_factory=dict, repr=False)
    staged: Mapping[str, str] = field(default_factory=dict, repr=False)
    former: Mapping[str, str] = field(default_factory=dict, repr=False)
    retired: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, secret: Object | None) -> Self:
        """Read an auth Secret; this leaves out what cannot be one of our passwords."""
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
        """The passwords that every instance must accept, one mapping for each generation."""
        return tuple(filter(None, (self.current, self.staged, self.former)))

    @property
    def accepted(self) -> Mapping[str, frozenset[str]]:
        """Hashes that every instance must accept, by user."""
        return identities.hashes(*self.generations)

    @property
    def operators(self) -> tuple[str, ...]:
        """The passwords that may let the user `operator` log in to an instance, the likeliest first."""
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

    def with_staged_as_current(self) -> KeyRing:
        """Make the staged passwords the current ones, and keep the current ones as the former ones."""
        return KeyRing(current=self.staged, former=self.current, retired=self.retired)

    def without_former(self) -> KeyRing:
        """Accept the current passwords alone, and remember the former ones as retired."""
        refused = identities.hashes(self.former)
        retired = {user: digest for user, digests in refused.items() for digest in digests}
        return KeyRing(current=self.current, retired=retired or self.retired)


def _passwords(values: Mapping[str, str], prefix: str) -> dict[str, str]:
    found = {key: values.get(f"{prefix}{key}", "") for key in identities.PASSWORD_KEYS}
    return {key: password for key, password in found.items() if identities.is_password(password)}
