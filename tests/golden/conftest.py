from __future__ import annotations

import pytest

OPTION = "--rewrite-golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help="write what comes out as what should come out")


@pytest.fixture
def is_rewriting(pytestconfig: pytest.Config) -> bool:
    # Known only if the command line names this directory; else nothing is ever rewritten.
    return bool(pytestconfig.getoption(OPTION, default=False))
