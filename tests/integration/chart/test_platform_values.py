"""The values for platforms, as Helm renders them; no cluster is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reconciler import settings as reconciler_settings
from tests.integration.chart.platforms import FILES, for_platform
from tests.integration.chart.pods import environment, ports, template
from tests.integration.installation import NAMESPACE, chart_objects
from tests.support.pages import PLATFORMS as PAGE
from tests.support.pages import chart_values
from webhook import settings as webhook_settings


def test_there_is_a_file_for_each_platform_of_the_page() -> None:
    assert list(FILES) == ["eks", "gke-autopilot", "openshift"]
    assert [file.name for file in FILES.values() if f"](platforms/{file.name})" not in PAGE.read_text()] == []


def test_helm_takes_all_values_that_the_page_shows(tmp_path: Path) -> None:
    shown = chart_values(PAGE)
    assert len(shown) >= 3
    for number, block in enumerate(shown):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(block))
        assert chart_objects(options=("--values", str(file))) != chart_objects()


@pytest.mark.parametrize("platform", FILES)
def test_helm_renders_a_platforms_values_to_something_that_the_defaults_are_not(platform: str) -> None:
    assert chart_objects(options=for_platform(platform)) != chart_objects()


@pytest.mark.parametrize("platform", FILES)
def test_both_processes_take_what_a_platforms_values_tell_them(platform: str) -> None:
    objects = chart_objects(options=for_platform(platform))
    own = {"POD_NAME": "one", "POD_NAMESPACE": NAMESPACE}
    told = webhook_settings.Settings.from_environ(own | environment(template(objects, "webhook")))
    assert told.webhook_port == ports(template(objects, "webhook"))["https"]
    assert reconciler_settings.Settings.from_environ(own | environment(template(objects, "reconciler")))
