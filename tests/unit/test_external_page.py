"""The page about stores of users: every service has a line, and the product takes what the page says to write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconciler.credentials import identities
from reconciler.state.external_secret import ExternalConnection, connection_of_user
from shared.session_storage import secret_reference
from shared.session_storage.endpoint import Endpoint
from shared.session_storage.models import External
from webhook.admission.session_storage_spec import problems_of_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

HOWTO = Path(__file__).parents[2] / "docs/howto"
TEXT = (HOWTO / "external.md").read_text()
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
URL = re.compile(r"[a-z+-]+://\S+|\S+,\S*=\S*")
"""A URL, or the connection string of a .NET client."""
PLACEHOLDER = re.compile(r"<(\w+)>")
SERVICES = (
    "Amazon ElastiCache",
    "Amazon MemoryDB",
    "Azure Cache for Redis",
    "Azure Managed Redis",
    "Memorystore for Redis",
    "Memorystore for Valkey, Redis Cluster",
    "Upstash",
    "Redis Cloud",
    "Aiven",
    "DigitalOcean",
    "Dragonfly",
    "KeyDB",
    "Redis, Valkey",
    "Bitnami's charts",
)


def table(heading: str) -> list[list[str]]:
    """Read the rows of the first table below a heading."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def blocks() -> Iterator[Any]:
    """Read the storages of both pages, whole or their specs alone; a reference to a Secret belongs into one."""
    for page in ("external.md", "move-in.md"):
        for block in map(yaml.safe_load, YAML_BLOCK.findall((HOWTO / page).read_text())):
            if "secretRef" in block:
                yield pytest.param({"spec": {"external": {"url": "redis://there", **block}}}, id=f"{page}: secretRef")
            elif "external" in block["spec"]:
                yield pytest.param(block, id=f"{page}: {block.get('kind', 'spec')}")


def is_taken(url: str) -> bool:
    """Tell whether the webhook takes a URL, of which the reconciler then reads where to connect."""
    return not list(problems_of_spec({"spec": {"external": {"url": url}}})) and bool(Endpoint.of_url(url, "team"))


def is_taken_out_of_a_secret(url: str) -> bool:
    external = External.model_validate({"secretRef": "theirs"})
    secret = {"data": identities.encoded({"url": url})}
    return isinstance(connection_of_user(external, "team", secret), ExternalConnection)


def urls(text: str) -> list[str]:
    return [code for code in CODE.findall(text) if URL.fullmatch(code)]


def filled_in(url: str) -> str:
    """Write something in place of what a reader has to fill in."""
    named = PLACEHOLDER.sub(lambda match: "6380" if match[1] == "port" else match[1], url)
    return named.replace("default:…", "default:token@host").replace("//…", "//host").replace("…", ".")


def test_every_service_has_a_line_that_says_what_to_write_and_what_cannot_work() -> None:
    rows = table("Service by service")
    assert tuple(row[0] for row in rows) == SERVICES
    assert [row for row in rows if len(row) != 3 or not all(row)] == []


WRITTEN = [
    pytest.param(filled_in(url), id=f"{row[0]}: {url}") for row in table("Service by service") for url in urls(row[1])
]


@pytest.mark.parametrize("url", WRITTEN)
def test_the_product_takes_every_url_that_a_line_says_to_write(url: str) -> None:
    has_login = "@" in url
    assert is_taken_out_of_a_secret(url) if has_login else is_taken(url)


def test_every_service_that_can_work_has_a_url_or_is_read_from_a_secret() -> None:
    assert {row[0] for row in table("Service by service") if not urls(row[1])} == {
        *("Amazon MemoryDB", "Memorystore for Valkey, Redis Cluster")
    }


@pytest.mark.parametrize("block", list(blocks()))
def test_the_product_takes_every_storage_that_the_pages_print(block: Any) -> None:
    assert list(problems_of_spec(block)) == []
    assert External.model_validate(block["spec"]["external"])


def test_the_usual_keys_are_those_that_the_page_lists() -> None:
    listed = {CODE.findall(field)[0]: tuple(CODE.findall(keys)) for field, keys in table("The Secret")}
    assert listed == {
        "passwordKey": secret_reference.PASSWORD_KEYS,
        "usernameKey": secret_reference.USERNAME_KEYS,
        "caKey": secret_reference.CA_KEYS,
        "urlKey": secret_reference.URL_KEYS,
        "hostKey": secret_reference.HOST_KEYS,
        "portKey": secret_reference.TLS_PORT_KEYS,
        "tlsKey": secret_reference.TLS_KEYS,
    }


REFUSED = [url for row in table("What is refused, and what to write") for url in urls(row[0])]


@pytest.mark.parametrize("url", REFUSED)
def test_the_product_refuses_what_the_page_says_it_refuses(url: str) -> None:
    assert not is_taken(filled_in(url))


def test_the_product_takes_what_the_page_says_to_write_in_place_of_it() -> None:
    instead = [url for row in table("What is refused, and what to write") for url in urls(row[1])]
    assert len(instead) > 1
    assert [url for url in instead if not is_taken(filled_in(url))] == []
