"""The proof of the threads reads what pytest says of them, and does not hold when one of them fails."""

from __future__ import annotations

from pathlib import Path

from proof import threads

REPORT = """<testsuites><testsuite>
<testcase classname="tests.threads.test_events" name="test_a">
  <properties><property name="threads" value="9 24"/><property name="seen" value="a/b#1"/></properties></testcase>
<testcase classname="tests.threads.test_events" name="test_b">
  <properties><property name="threads" value="42"/></properties>{outcome}</testcase>
<testcase classname="tests.threads.test_the_list" name="test_of_the_list_itself"/>
</testsuite></testsuites>"""


def _read(folder: Path, outcome: str) -> list[threads.Rebuilt]:
    report = folder / "report.xml"
    report.write_text(REPORT.format(outcome=outcome))
    return threads.read(report)


def test_each_test_is_read_with_its_threads_and_its_outcome(tmp_path: Path) -> None:
    assert _read(tmp_path, "") == [
        threads.Rebuilt("tests/threads/test_events.py::test_a", (9, 24), "a/b#1", "passed"),
        threads.Rebuilt("tests/threads/test_events.py::test_b", (42,), "", "passed"),
    ]
    assert _read(tmp_path, "<failure>no</failure>")[1].outcome == "failed"
    assert _read(tmp_path, "<error>no</error>")[1].outcome == "failed"
    assert _read(tmp_path, "<skipped/>")[1].outcome == "skipped"


def test_it_holds_only_with_forty_threads_and_none_that_fails() -> None:
    forty = [threads.Rebuilt(f"f.py::test_{n}", (n,), "a#1", "passed") for n in range(1, 41)]
    assert threads.judge(forty, 0, "", 1.0).holds
    assert not threads.judge(forty[1:], 0, "", 1.0).holds
    assert not threads.judge([*forty, threads.Rebuilt("f.py::test_x", (41,), "", "failed")], 1, "", 1.0).holds
    assert not threads.judge([*forty, threads.Rebuilt("f.py::test_x", (41,), "", "skipped")], 0, "", 1.0).holds
    assert not threads.judge(forty, 2, "interrupted", 1.0).holds
    # One test that says forty numbers is counted for what it says, and the page shows it.
    one = threads.judge([threads.Rebuilt("f.py::test_1", tuple(range(1, 41)), "a#1", "passed")], 0, "", 1.0)
    assert ("tests", "1") in one.figures
