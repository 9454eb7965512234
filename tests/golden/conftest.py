from __future__ import annotations

import pytest

OPTION = "--rewrite-golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help="rewrite each case's patch.json and patched.yaml")


@pytest.fixture
def is_rewriting(pytestconfig: pytest.Config) -> bool:
    # pytest knows the option only if the command line names this directory; otherwise the tests rewrite nothing.
    return bool(pytestconfig.getoption(OPTION, default=False))
