"""Draw the checkout flow into ARCHITECTURE.md from its definition, so that the picture cannot differ from it.

python docs/draw_flow.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEFINITION = ROOT / "todoku" / "flows" / "checkout.asl.json"
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- flow: drawn by docs/draw_flow.py -->\n", "<!-- end of flow -->"
SHAPES = {
    "Task": '{0}["{0}"]',
    "Choice": '{0}{{"{1}"}}',
    "Succeed": '{0}(["{0}"])',
    "Fail": '{0}[/"{0}"/]',
    "Pass": '{0}("{0}")',
    "Wait": '{0}("{0}")',
}


def draw(definition: dict[str, Any]) -> str:
    """Draw a definition as a Mermaid flowchart: a box for every state, an arrow for every way on."""
    states: dict[str, dict[str, Any]] = definition["States"]
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {SHAPES[state['Type']].format(name, _asked(state))}" for name, state in states.items()]
    for name, state in states.items():
        if state["Type"] == "Choice":
            lines += [f'    {name} -- "{_said(rule)}" --> {rule["Next"]}' for rule in state["Choices"]]
            lines.append(f'    {name} -. "anything else" .-> {state["Default"]}')
        elif "Next" in state:
            lines.append(f"    {name} --> {state['Next']}")
        for catch in state.get("Catch", []):
            lines.append(f'    {name} -. "{", ".join(catch["ErrorEquals"])}" .-> {catch["Next"]}')
    return "\n".join([*lines, "```", ""])


def _asked(state: dict[str, Any]) -> str:
    """What a Choice looks at: the path of its first test."""
    test = (state.get("Choices") or [{}])[0]
    while "Variable" not in test and test:
        test = next((test[key][0] for key in ("Or", "And") if key in test), {})
    return str(test.get("Variable", "")).removeprefix("$.") + "?"


def _said(rule: dict[str, Any]) -> str:
    """What a rule compares with, in words."""
    if "Or" in rule:
        return " or ".join(_said(part) for part in rule["Or"])
    if "And" in rule:
        return " and ".join(_said(part) for part in rule["And"])
    return ", ".join(str(value) for key, value in rule.items() if key not in ("Variable", "Next", "Comment"))


def with_picture(page: str, picture: str) -> str:
    """Put the picture between its two marks on the page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{picture}{END}{after}"


def main() -> None:
    """Draw the picture anew."""
    picture = draw(json.loads(DEFINITION.read_text("utf-8")))
    PAGE.write_text(with_picture(PAGE.read_text("utf-8"), picture), "utf-8")


if __name__ == "__main__":
    main()
