from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.figures import FIGURE, figures_of

# An example that takes long on a slow machine is not a failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


class FigureReport:
    """Collects the figures that tests measure, and prints them below pytest's report."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":  # the last phase of a test: it has measured everything
            self._found += figures_of(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._found:
            terminalreporter.section("figures")
            terminalreporter.write_line("\n".join(self._found))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--drills", action="store_true", help="run the drills, and nothing else (`make drills`)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "drill: takes long; `make drills` runs it, `make test` runs a short form of it")
    config.pluginmanager.register(FigureReport())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_drilling = config.getoption("--drills")
    others = [item for item in items if (item.get_closest_marker("drill") is not None) != is_drilling]
    items[:] = [item for item in items if item not in set(others)]
    config.hook.pytest_deselected(items=others)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Collect the figures that a test measures; pytest prints them below its report."""
    found: list[str] = []
    yield found
    request.node.user_properties += [(FIGURE, said) for said in found]
