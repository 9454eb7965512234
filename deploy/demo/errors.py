"""Errors of the demonstration; the message of each says what failed, and why."""


class DemoError(Exception):
    """Root of the tree: a step has failed, and the message says why."""


class CommandFailed(DemoError):
    """kubectl or Helm failed."""


class NotInTime(DemoError):
    """A condition did not become true before its deadline."""


class Surprise(DemoError):
    """The product did something other than it promises."""


class SessionLost(DemoError):
    """An MCP server, or the proxy in front of it, refused a session or did not answer."""
