"""A flow as a picture, drawn from its own definition: boxes and arrows, coloured by how far an execution has come.

The layout depends on the definition alone, so that an operator finds each step where it was the last time. The
longest way to the end runs straight down; what branches off stands beside it, narrow enough for a phone.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from todoku.console import labels
from todoku.console.templatetags.console import jst_clock, lasted
from todoku.console.timeline import Line, Stop
from todoku.console.wrapping import wrap
from todoku.engines.models import Execution
from todoku.flows import definition as asl

#: Everything is measured in these units; a phone shows one of them a little smaller than a pixel.
WIDTH = 360
SPINE_X, SPINE_W = 22, 186
SIDE_X, SIDE_W = 244, 106
LANE, LANES = 7, 4
#: The words of a way: how high a line is, and how much goes into it.
SIDE_LINE, SIDE_ROOM = 12, 9.5


@dataclass
class Box:
    """One state: where it stands, and what is written in it."""

    state: str
    shape: str
    kind: str
    lines: list[str]
    small: str
    x: int
    w: int
    y: int = 0

    @property
    def h(self) -> int:
        """How high the box is."""
        return 15 + 16 * len(self.lines) + (14 if self.small else 0)

    @property
    def middle(self) -> tuple[int, int]:
        """The middle of the box."""
        return self.x + self.w // 2, self.y + self.h // 2

    @property
    def texts(self) -> Iterator[tuple[int, str]]:
        """Each line of text with the height at which it stands."""
        return ((self.y + 20 + 16 * n, line) for n, line in enumerate(self.lines))

    @property
    def small_y(self) -> int:
        """The height at which the small line stands."""
        return self.y + self.h - 9

    @property
    def corners(self) -> str:
        """The outline of a question."""
        x, y, right, bottom, cut = self.x, self.y, self.x + self.w, self.y + self.h, 12
        half = y + self.h // 2
        return (
            f"{x},{half} {x + cut},{y} {right - cut},{y} {right},{half} {right - cut},{bottom} {x + cut},{bottom}"
        )


@dataclass(frozen=True)
class Arrow:
    """A way from one state to another: its path, its words, and whether this execution went it."""

    path: str
    gone: bool
    dashed: bool
    #: Its words, line by line, each with the height at which it stands.
    label: Sequence[tuple[int, str]] = ()
    x: int = 0


@dataclass(frozen=True)
class Way:
    """A way on as the definition has it."""

    label: str
    to: str
    dashed: bool = False


@dataclass
class Picture:
    """All boxes and arrows, and the same in words for those who cannot see them."""

    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    height: int = 0
    told: str = ""
    width: int = WIDTH


def draw(execution: Execution, line: Line) -> Picture | None:
    """Draw an execution, whose definition has been fetched with it; None when this version cannot read it."""
    try:
        flow = asl.read(execution.definition.text)
    except asl.DefinitionRefused:
        return None
    return _Drawing(flow, line).picture()


class _Drawing:
    def __init__(self, flow: asl.Flow, line: Line) -> None:
        self.flow = flow
        self.ways = {name: _ways(state) for name, state in flow.states.items()}
        self.stops = {stop.state: stop for stop in line.stops}
        self.gone, self.passed = self._gone(line)
        self.boxes: dict[str, Box] = {}
        self.spine = self._spine()

    def picture(self) -> Picture:
        self._place()
        arrows = list(self._arrows())
        boxes = list(self.boxes.values())
        told = "; ".join(f"{labels.state(box.state)}: {_said(box.kind)}" for box in boxes if box.shape != "choice")
        return Picture(boxes, arrows, max(box.y + box.h for box in boxes) + 8, told)

    def _gone(self, line: Line) -> tuple[set[tuple[str, str]], set[str]]:
        """The ways that this execution went, and the questions that it passed."""
        reached = [stop.state for stop in line.stops if stop.kind != "open"]
        gone: set[tuple[str, str]] = set()
        here = self.flow.start
        if reached and here != reached[0]:
            reached.insert(0, here)
        for before, after in itertools.pairwise(reached):
            for pair in self._between(before, after):
                gone.add(pair)
        return gone, {name for pair in gone for name in pair if not isinstance(self.flow.states[name], asl.Task)}

    def _between(self, before: str, after: str) -> list[tuple[str, str]]:
        """The shortest way from one stop to the next one, through questions only."""
        came: dict[str, str] = {}
        ahead = deque([before])
        while ahead:
            here = ahead.popleft()
            for way in self.ways[here]:
                if way.to in came:
                    continue
                came[way.to] = here
                if way.to == after:
                    path: list[tuple[str, str]] = []
                    at = after
                    while at != before or not path:
                        path.append((came[at], at))
                        at = came[at]
                    return path
                if not isinstance(self.flow.states[way.to], asl.Task):
                    ahead.append(way.to)
        return []

    def _spine(self) -> list[str]:
        """The longest way from the start to an end; a good end is better than a bad one."""
        known: dict[str, tuple[float, list[str]]] = {}

        def longest(name: str, above: frozenset[str]) -> tuple[float, list[str]]:
            if name in known:
                return known[name]
            state = self.flow.states[name]
            ahead = [
                longest(way.to, above | {name})
                for way in self.ways[name]
                if not (way.dashed and isinstance(state, asl.Task)) and way.to not in above | {name}
            ]
            best = max(ahead, key=lambda found: found[0], default=(-1.0 if isinstance(state, asl.Fail) else 0.0, []))
            found = (best[0] + (1.0 if isinstance(state, asl.Task) else 0.01), [name, *best[1]])
            if not above & set(found[1]):
                known[name] = found
            return found

        return longest(self.flow.start, frozenset())[1]

    def _place(self) -> None:
        """Give every state its place: the spine first, then what branches off, from top to bottom."""
        on_spine = set(self.spine)
        y = 8
        for name in self.spine:
            box = self._box(name, SPINE_X, SPINE_W, 27)
            box.y = y
            following = next((way for way in self.ways[name] if way.to in on_spine and way.label), None)
            y += box.h + (31 if following else 22)
        cursor = 0
        for name in self.spine:
            level = self.boxes[name].middle[1]
            branches = [way.to for way in self.ways[name]]
            while branches:
                branch = branches.pop(0)
                if branch in self.boxes:
                    continue
                box = self._box(branch, SIDE_X, SIDE_W, 15)
                box.y = max(cursor + SIDE_LINE * self._label_lines(branch), level - box.h // 2, 20)
                level = 0
                cursor = box.y + box.h + 12
                branches = [*(way.to for way in self.ways[branch]), *branches]

    def _label_lines(self, name: str) -> int:
        """How many lines of words will stand above a box at the side."""
        labels_ = {way.label for ways in self.ways.values() for way in ways if way.to == name and way.label}
        return max((len(wrap(label, SIDE_ROOM)) for label in labels_), default=0)

    def _box(self, name: str, x: int, width: int, room: int) -> Box:
        state = self.flow.states[name]
        stop = self.stops.get(name)
        kind = _kind(name, stop, name in self.passed)
        box = Box(name, _shape(state), kind, wrap(labels.state(name), room * 0.5), _small(stop, width), x, width)
        self.boxes[name] = box
        return box

    def _arrows(self) -> Iterator[Arrow]:
        labelled: set[tuple[str, str]] = set()
        lanes = _Lanes()
        below = dict(zip(self.spine, self.spine[1:], strict=False))
        for name, box in self.boxes.items():
            for way in self.ways[name]:
                to = self.boxes[way.to]
                path, x, y = self._path(box, to, below.get(name) == way.to, lanes)
                told = [] if not way.label or (way.to, way.label) in labelled else wrap(way.label, SIDE_ROOM)
                labelled.add((way.to, way.label))
                # Words at the side end above their box; those beside the spine begin below theirs.
                top = y - SIDE_LINE * (len(told) - 1) if to.x == SIDE_X else y
                placed = [(top + SIDE_LINE * n, line) for n, line in enumerate(told)]
                yield Arrow(path, (name, way.to) in self.gone, way.dashed, placed, x)

    def _path(self, box: Box, to: Box, straight: bool, lanes: _Lanes) -> tuple[str, int, int]:
        """The line from one box to another, and the place of its words."""
        (cx, cy), (_tx, ty) = box.middle, to.middle
        if straight:
            return f"M{cx} {box.y + box.h}V{to.y - 2}", cx + 9, box.y + box.h + 19
        if box.x == SPINE_X and to.x == SPINE_X:
            lane = SPINE_X - 5 - LANE * lanes.left(to.state)
            return f"M{box.x} {cy}H{lane}V{ty}H{to.x - 2}", box.x + 4, box.y + box.h + 12
        if box.x == SIDE_X and to.x == SIDE_X:
            if 0 < to.y - box.y - box.h < 40:
                return f"M{cx} {box.y + box.h}V{to.y - 2}", to.x, to.y - 6
            return f"M{box.x + box.w} {cy}H{WIDTH - 3}V{ty}H{to.x + to.w + 2}", to.x, to.y - 6
        if box.x == SIDE_X:
            lane = SIDE_X - 4 - LANE * lanes.side(box.state)
            return f"M{box.x} {cy}H{lane}V{ty + 6}H{to.x + to.w + 2}", to.x, to.y - 6
        if abs(cy - ty) < 3:
            return f"M{box.x + box.w} {cy}H{to.x - 2}", to.x, to.y - 6
        lane = SPINE_X + SPINE_W + 6 + LANE * lanes.right(box.state)
        return f"M{box.x + box.w} {cy}H{lane}V{ty}H{to.x - 2}", to.x, to.y - 6


class _Lanes:
    """Lines that run side by side keep apart from each other, as far as there is room."""

    def __init__(self) -> None:
        self._taken: dict[str, dict[str, int]] = {}

    def _lane(self, where: str, name: str, most: int) -> int:
        taken = self._taken.setdefault(where, {})
        return taken.setdefault(name, len(taken) % most)

    def left(self, name: str) -> int:
        return self._lane("left", name, 2)

    def right(self, name: str) -> int:
        return self._lane("right", name, LANES)

    def side(self, name: str) -> int:
        return self._lane("side", name, 2)


def _ways(state: asl.State) -> list[Way]:
    """Every way on from a state; two rules that lead to the same place are one way."""
    if isinstance(state, asl.Choice):
        found: dict[str, list[str]] = {}
        for test, to in state.rules:
            found.setdefault(to, []).append(_test(test))
        ways = [Way(_(" or ").join(dict.fromkeys(words)), to) for to, words in found.items() if to != state.default]
        return [*ways, Way(_("anything else"), state.default, dashed=True)]
    if isinstance(state, asl.Succeed | asl.Fail):
        return []
    ways = [Way("", state.next)] if state.next is not None else []
    if isinstance(state, asl.Task):
        caught = (catcher.next for catcher in state.catch if catcher.next != state.next)
        ways += [Way(_("if it fails"), to, dashed=True) for to in caught]
    return ways


def _test(test: Mapping[str, Any]) -> str:
    """What a rule asks for, in words."""
    for key, joined in (("Or", _(" or ")), ("And", _(" and "))):
        if key in test:
            return joined.join(_test(part) for part in test[key])
    if "Not" in test:
        return _("not %(what)s") % {"what": _test(test["Not"])}
    return ", ".join(labels.outcome(value) for key, value in test.items() if key != "Variable")


def _shape(state: asl.State) -> str:
    if isinstance(state, asl.Choice):
        return "choice"
    if isinstance(state, asl.Succeed):
        return "end"
    return "fail" if isinstance(state, asl.Fail) else "step"


def _kind(name: str, stop: Stop | None, passed: bool) -> str:
    """How a state stands: done, failed, waiting, or not reached."""
    if stop is None:
        return "done" if passed else "open"
    if stop.kind == "end":
        return "waiting" if name in labels.WAITING else "done"
    return {"earlier": "done", "asked": "waiting", "again": "waiting", "now": "waiting"}.get(stop.kind, stop.kind)


def _small(stop: Stop | None, width: int) -> str:
    """The line below a state's name: when, and how long it took."""
    if stop is None or stop.kind == "open":
        return ""
    if stop.kind == "failed":
        return _("failed at %(at)s") % {"at": jst_clock(stop.at)}
    if stop.kind == "again":
        return _("next try at %(at)s") % {"at": jst_clock(stop.tries[-1].again_at)}
    if stop.kind == "now":
        return _("under way")
    took = f" · {lasted(stop.milliseconds)}" if stop.milliseconds is not None and width == SPINE_W else ""
    return f"{jst_clock(stop.at)}{took}"


def _said(kind: str) -> str:
    return {
        "done": _("done"),
        "failed": _("failed"),
        "waiting": _("waiting or under way"),
        "open": _("not reached"),
    }[kind]
