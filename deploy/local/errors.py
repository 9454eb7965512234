"""Errors of the local cluster; the message of each says what failed, and why."""


class LocalClusterError(Exception):
    """Root of the tree; the command line prints its message and exits with 1."""


class PrerequisiteMissing(LocalClusterError):
    """This machine cannot run the cluster; the message says what to do about it."""


class StepFailed(LocalClusterError):
    """A command or a wait failed; the message names it, its last lines and its log."""
