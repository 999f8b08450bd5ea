"""Every flow before somebody else's judge: npm's asl-validator, which knows the whole language (``make aws-test``).

Our own checker (``todoku check-flows``, in ``make check``) knows less of the language and more of the shop: that
nothing catches a failure once the customer may have paid. The judge from outside has nothing against that, and so the
last test shows that each of the two is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from todoku.flows import definition, registry

STEP = "arn:aws:lambda:ap-northeast-1:123456789012:function:todoku-step:live"
VALIDATOR = ["npx", "--yes", "asl-validator@4.0.0", "--json-path"]
pytestmark = [
    pytest.mark.skipif(os.environ.get("TODOKU_AWS") != "1", reason="slow: make aws-test"),
    pytest.mark.timeout(300),
]


def judged(flow: dict[str, Any], folder: Path) -> tuple[bool, str]:
    """Say whether asl-validator takes the definition, and what it said."""
    file = folder / "flow.json"
    file.write_text(json.dumps(flow))
    said = subprocess.run([*VALIDATOR, str(file)], capture_output=True, text=True, cwd=folder)
    return said.returncode == 0, said.stdout + said.stderr


def as_deployed(name: str) -> dict[str, Any]:
    """The flow's definition with the step's address in it, as AWS gets it."""
    read: dict[str, Any] = json.loads(registry.flow(name).text.replace("${Step}", STEP))
    return read


@pytest.mark.parametrize("name", registry.names())
def test_the_judge_from_outside_takes_every_flow(name: str, tmp_path: Path) -> None:
    good, said = judged(as_deployed(name), tmp_path)
    assert good, said


def test_control_it_refuses_a_flow_that_leads_nowhere(tmp_path: Path) -> None:
    flow = as_deployed("checkout")
    flow["States"]["RecordOrder"]["Next"] = "Nowhere"
    good, said = judged(flow, tmp_path)
    assert not good and "Nowhere" in said


def test_a_catch_after_the_payment_is_refused_by_our_checker_alone(tmp_path: Path) -> None:
    flow = as_deployed("checkout")
    flow["States"]["RecordOrder"]["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "NotPaid"}]
    good, said = judged(flow, tmp_path)
    assert good, said
    with pytest.raises(definition.DefinitionRefused, match="although the customer may have paid"):
        definition.read(json.dumps(flow))
