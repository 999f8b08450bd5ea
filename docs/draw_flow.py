"""Draw the flows into ARCHITECTURE.md from their definitions, so that the pictures cannot differ from them.

python docs/draw_flow.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FLOWS = ROOT / "todoku" / "flows"
#: The flows, and where each picture begins on the page.
DRAWN = {
    "checkout": "<!-- flow: drawn by docs/draw_flow.py -->\n",
    "refund": "<!-- the refund's flow: drawn by docs/draw_flow.py -->\n",
}
PAGE = ROOT / "ARCHITECTURE.md"
END = "<!-- end of flow -->"
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


def definition(flow: str) -> dict[str, Any]:
    """Read a flow's definition."""
    found: dict[str, Any] = json.loads((FLOWS / f"{flow}.asl.json").read_text("utf-8"))
    return found


def with_picture(page: str, flow: str, picture: str) -> str:
    """Put the picture between its two marks on the page."""
    begin = DRAWN[flow]
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}{picture}{END}{after}"


def main() -> None:
    """Draw the pictures anew."""
    page = PAGE.read_text("utf-8")
    for flow in DRAWN:
        page = with_picture(page, flow, draw(definition(flow)))
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
