"""docs/catalog-format.md says what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from todoku.catalog import csv_import as catalog
from todoku.catalog.csv_table import Column
from todoku.quote import csv_import as quote
from todoku.quote import rules

DOCUMENT = (Path(__file__).parents[2] / "docs" / "catalog-format.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("Products", catalog.COLUMNS),
        ("Shipping fees", quote.FEE_COLUMNS),
        ("Remote islands", quote.ISLAND_COLUMNS),
        ("The shipping rule", quote.RULE_COLUMNS),
        ("Tax rates", quote.TAX_COLUMNS),
    ],
)
def test_the_documented_columns_are_those_of_the_code(heading: str, columns: list[Column]) -> None:
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [column.name for column in columns]


def test_the_documented_limits_are_those_of_the_code() -> None:
    assert f"{catalog.LEAST_PRICE} to {catalog.GREATEST_PRICE}" in DOCUMENT
    assert f"0 to {catalog.GREATEST_STOCK}" in DOCUMENT
    assert f"0 to {quote.GREATEST_FEE}" in DOCUMENT
    assert all(f"`{region}`" in DOCUMENT for region in rules.REGIONS)
    assert all(str(size) in DOCUMENT for size in rules.SIZES)
    assert catalog.PARCEL_SIZES == rules.SIZES
