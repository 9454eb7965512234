"""The README shows what is there: its first example is the file that `make demo` and the integration tests apply."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.demo import samples

README = (Path(__file__).parents[2] / "README.md").read_text()
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_first_example_is_the_quickstart_sample_word_for_word() -> None:
    assert YAML_BLOCK.findall(README)[0] == samples.QUICKSTART.read_text()
