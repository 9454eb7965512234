from __future__ import annotations

import pytest

from tests.bench.calls import Calls, counted

METRICS = """\
# TYPE call_seconds histogram
call_seconds_bucket{name="ours",operation="CREATE",rejected="false",le="0.005"} 3
call_seconds_bucket{name="ours",operation="CREATE",rejected="false",le="+Inf"} 5
call_seconds_sum{name="ours",operation="CREATE",rejected="false"} 0.03
call_seconds_count{name="ours",operation="CREATE",rejected="false"} 5
call_seconds_bucket{name="ours",operation="CREATE",rejected="true",le="0.005"} 1
call_seconds_bucket{name="ours",operation="CREATE",rejected="true",le="+Inf"} 1
call_seconds_sum{name="ours",operation="CREATE",rejected="true"} 0.01
call_seconds_count{name="ours",operation="CREATE",rejected="true"} 1
call_seconds_sum{name="theirs",operation="CREATE",rejected="false"} 7.0
call_seconds_count{name="theirs",operation="CREATE",rejected="false"} 7
call_seconds_sum{name="ours",operation="UPDATE",rejected="false"} 9.0
call_seconds_count{name="ours",operation="UPDATE",rejected="false"} 9
"""


def test_all_series_that_have_the_labels_are_summed() -> None:
    assert counted(METRICS, "call_seconds", name="ours", operation="CREATE") == Calls(6, 4, 0.03 + 0.01)


def test_a_webhook_that_was_never_called_has_no_calls() -> None:
    assert counted(METRICS, "call_seconds", name="nobody") == Calls(0, 0, 0.0)


def test_calls_of_an_earlier_reading_are_subtracted() -> None:
    assert Calls(6, 4, 0.05).since(Calls(1, 1, 0.01)).mean_ms == pytest.approx(8.0)
