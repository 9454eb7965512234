from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no wrong answer.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash[FIGURES]:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(figures))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[str]:
    """What was measured, for the reader of the report."""
    return request.config.stash[FIGURES]
