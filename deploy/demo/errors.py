"""What can go wrong while the story is told, each said in one message."""


class DemoError(Exception):
    """Root of the tree: the step that was under way has failed, and the message says why."""


class CommandFailed(DemoError):
    """kubectl or Helm said no."""


class NotInTime(DemoError):
    """Something did not come true before its deadline."""


class Surprise(DemoError):
    """What was seen is not what the product promises."""


class SessionLost(DemoError):
    """An MCP server or a proxy before it refused a session, or did not answer."""
