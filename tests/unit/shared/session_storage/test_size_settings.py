"""What a platform team may put behind the three sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from shared.errors import InvalidSettings
from shared.session_storage.size_settings import parse_sizes
from shared.session_storage.sizes import DEFAULT_SIZES, PRESETS, Size, Sizes
from tests.support.chart import VALUES


def test_the_values_of_the_chart_are_the_defaults() -> None:
    figures = yaml.safe_load(VALUES.read_text())["valkey"]["sizes"]
    assert list(figures) == [size.value for size in Size]
    for size, preset in PRESETS.items():
        said = parse_sizes(f'{{"{size}": {{"memory":"{figures[size]["memory"]}","cpu":"{figures[size]["cpu"]}"}}}}')
        assert said.of(size) == preset
        assert (figures[size]["disk"], figures[size]["replicas"]) == (f"{preset.disk_gib}Gi", preset.replicas)


def test_each_figure_replaces_the_default_and_the_rest_stays() -> None:
    read = parse_sizes('{"medium":{"memory":"2Gi","cpu":0.5,"disk":"1Ti","replicas":3},"small":{"memory":"512Mi"}}')
    medium = replace(PRESETS[Size.MEDIUM], memory_mib=2048, cpu_millis=500, disk_gib=1024, replicas=3)
    small = replace(PRESETS[Size.SMALL], memory_mib=512)
    assert [read.of(size) for size in Size] == [small, medium, PRESETS[Size.LARGE]]
    assert read.of(None) == medium
    assert parse_sizes("{}") == Sizes(dict(PRESETS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"huge":{}}', "huge: Extra inputs are not permitted"),
        ('{"small":{"maxmemory":"1Gi"}}', "small.maxmemory: Extra inputs are not permitted"),
        ('{"small":{"memory":"1G"}}', "small.memory: must be an amount of whole Mi or Gi, such as 512Mi"),
        ('{"small":{"memory":"0Mi"}}', "small.memory: must be an amount of whole Mi or Gi"),
        ('{"small":{"memory":"64Mi"}}', "small.memory: must be at least 128Mi"),
        ('{"large":{"disk":"500Mi"}}', "large.disk: must be an amount of whole Gi or Ti, such as 5Gi"),
        ('{"large":{"cpu":"0"}}', "large.cpu: must be an amount of CPU, such as 250m or 0.5"),
        ('{"large":{"replicas":6}}', "large.replicas: must be 1, or 3 to 5"),
    ],
)
def test_figures_with_which_no_storage_could_run_are_refused_and_named(text: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse_sizes(text)
    assert said in str(caught.value)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        parse_sizes('{"small":{"memory":"64Mi"},"large":{"replicas":2}}')
    assert str(caught.value).count(";") == 1


def test_only_a_volume_that_outlives_its_pod_cannot_shrink() -> None:
    assert DEFAULT_SIZES.shrinks(Size.LARGE, Size.MEDIUM)
    assert DEFAULT_SIZES.shrinks(Size.MEDIUM, Size.SMALL)
    scratch = parse_sizes('{"small":{"disk":"50Gi"}}')
    assert not scratch.shrinks(Size.SMALL, Size.MEDIUM)
    assert parse_sizes('{"large":{"disk":"5Gi"}}').shrinks(Size.LARGE, Size.MEDIUM) is False
