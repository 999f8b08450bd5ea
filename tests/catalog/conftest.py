"""What the catalogue's tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import translation
from PIL import Image
from pytest_django.fixtures import Settings

HEADER = "sku,name_ja,name_en,description_ja,description_en,price,tax_class,temperature,parcel_size,stock,picture"


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    """Messages are read in English, whatever has been translated."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Settings) -> Path:
    """Pictures are kept in a folder of the test's own."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media" / "products"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pictures folder in it, and one picture."""
    (tmp_path / "shop" / "pictures").mkdir(parents=True)
    Image.new("RGB", (1600, 900), "#c33").save(tmp_path / "shop" / "pictures" / "kani.jpg")
    return tmp_path / "shop"


@pytest.fixture
def write(folder: Path) -> Callable[..., Path]:
    """Write a catalogue of the given rows (under the right header) and give its path."""

    def write(*rows: str, header: str = HEADER, encoding: str = "utf-8", newline: str = "\n") -> Path:
        file = folder / "catalog.csv"
        file.write_bytes(newline.join([header, *rows, ""]).encode(encoding))
        return file

    return write


def row(**cells: object) -> str:
    """A good row with some cells of one's own."""
    good: dict[str, object] = {
        "sku": "KANI-1",
        "name_ja": "毛がに",
        "name_en": "Crab",
        "description_ja": "おいしい",
        "description_en": "Good",
        "price": 4800,
        "tax_class": "reduced",
        "temperature": "chilled",
        "parcel_size": 80,
        "stock": 12,
        "picture": "",
    }
    return ",".join(str(cell) for cell in {**good, **cells}.values())
