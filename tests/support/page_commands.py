"""Reads the commands that pages give to copy: how a shell tells them apart, and what kubectl takes for what."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK: Final = re.compile(r"^ *```(sh|text)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
HEREDOC: Final = re.compile(r"<<(\w+)\n.*?^ *\1$", re.MULTILINE | re.DOTALL)

COMMENT: Final = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
SUBSTITUTION: Final = re.compile(r"\$\(([^()]*)\)")

VALUED: Final = frozenset(
    {"-f", "-l", "-n", "-o", "-p", "--as", "--clusterrole", "--context", "--for", "--from-file", "--grace-period"}
    | {"--namespace", "--patch-file", "--raw", "--tail", "--timeout", "--type", "--user"}
)
"""Options of kubectl 1.36 that take a value, of those that pages use."""
SWITCHES: Final = frozenset(
    {"-A", "--all", "--all-namespaces", "--all-pods", "--force", "--force-conflicts", "--ignore-errors", "--overwrite"}
    | {"--prefix", "--previous", "--server-side", "--show-labels", "--show-managed-fields", "--wait"}
)
"""Options of kubectl 1.36 that take none, or may go without, of those that pages use."""
ON_OBJECTS: Final = frozenset({"get", "describe", "annotate", "label", "patch", "delete", "wait", "edit", "scale"})
"""Verbs whose next operand is a kind, or several."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page.

    Attributes:
        words: It and its arguments, without quotes.
        reader: The command that its output goes to; empty if that is the terminal.
    """

    words: tuple[str, ...]
    reader: str = ""

    @property
    def text(self) -> str:
        """The command in one line, without quotes."""
        return " ".join(self.words)


@dataclass(slots=True)
class Kubectl:
    """What a kubectl command is about.

    Attributes:
        operands: Its arguments that are no options; the first is the verb.
        options: Its options and their values; a switch has an empty one.
    """

    operands: list[str] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)

    def has(self, *named: str) -> bool:
        """Tell whether it has one of these options."""
        return any(name in named for name, _ in self.options)


@cache
def commands(page: Path) -> tuple[Command, ...]:
    """List the commands of a page; of a block that shows a terminal, those after a prompt."""
    return tuple(_commands(page.read_text()))


def _commands(page: str) -> Iterator[Command]:
    for kind, block in BLOCK.findall(page):
        text = COMMENT.sub("", HEREDOC.sub("", block)).replace("\\\n", " ")
        if kind == "text":
            text = "\n".join(re.findall(r"^ *\$ (.*)", text, re.MULTILINE))
        yield from split(text)


def split(text: str) -> Iterator[Command]:
    """Tell commands apart as a shell does; those in `$(…)` come first."""
    for inner in SUBSTITUTION.findall(text):
        yield from split(inner)
    lexer = shlex.shlex(SUBSTITUTION.sub("VALUE", text), posix=True, punctuation_chars="|&;\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    parts = [tuple(part) for _, part in groupby(lexer, lambda word: not word.strip("|&;\n"))]
    for at, words in enumerate(parts):
        if words[0].strip("|&;\n"):
            is_read = at + 2 < len(parts) and parts[at + 1][0].startswith("|")
            yield Command(words, parts[at + 2][0] if is_read else "")


def kubectl_of(command: Command) -> Kubectl | None:
    """Read a kubectl command; None if it is another one.

    Raises:
        AssertionError: kubectl has no such option.
    """
    if command.words[0] != "kubectl":
        return None
    read, words = Kubectl(), iter(command.words[1:])
    for word in words:
        if word in {"--", "…"}:
            break
        name, is_joined, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            read.operands.append(word)
            continue
        assert name in VALUED | SWITCHES, command.text
        takes_next = not is_joined and name in VALUED
        read.options.append((name, next(words) if takes_next else value))
    return read


def kinds_of(read: Kubectl) -> set[str]:
    """Name the kinds that a command is about, as it writes them; empty if it names none."""
    if read.operands[0] not in ON_OBJECTS | {"logs", "port-forward"} or len(read.operands) < 2:
        return set()
    is_pod = read.operands[0] not in ON_OBJECTS and "/" not in read.operands[1]
    return {"pod"} if is_pod else {kind.partition("/")[0] for kind in read.operands[1].split(",")}
