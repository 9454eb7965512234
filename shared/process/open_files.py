"""How many files and connections this process may have open."""

from __future__ import annotations

import resource


def allow_as_many_as_possible() -> None:
    """Raise the soft limit to the hard one, as programs in Go do by themselves.

    Container runtimes that leave systemd's limits alone start processes with a soft one of 1,024. It is so low for the
    sake of programs that wait by `select`, which takes no more (systemd, "File Descriptor Limits").
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
