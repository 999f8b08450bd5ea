"""Products come in whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from PIL import Image

from tests.catalog.conftest import HEADER, row
from todoku.catalog.models import Product
from todoku.quote.models import RemoteIsland, ShippingFee, ShippingRule, TaxRate
from todoku.stock.models import Level, Movement

pytestmark = pytest.mark.django_db
Write = Callable[..., Path]


def run(file: Path, **options: object) -> str:
    out = StringIO()
    call_command("import_catalog", file, stdout=out, **options)
    return out.getvalue()


def refused(file: Path, **options: object) -> str:
    before = (Product.objects.count(), Level.objects.count(), Movement.objects.count())
    with pytest.raises(CommandError) as error:
        run(file, **options)
    assert (Product.objects.count(), Level.objects.count(), Movement.objects.count()) == before
    return str(error.value)


def test_a_new_product_comes_in_with_its_opening_count_as_a_movement(write: Write) -> None:
    told = run(write(row(picture="kani.jpg"), row(sku="HOTATE-1", stock=0)))
    crab, scallop = Product.objects.order_by("position")
    assert (crab.sku, crab.price, crab.tax_class, crab.temperature, crab.parcel_size, crab.on_sale) == (
        "KANI-1",
        4800,
        "reduced",
        "chilled",
        80,
        True,
    )
    assert (crab.level.on_hand, scallop.level.on_hand) == (12, 0)
    movement = Movement.objects.get()
    assert (movement.product, movement.kind, movement.on_hand, movement.why) == (
        crab,
        "counted",
        12,
        "catalog.csv",
    )
    assert movement.who
    assert "read as UTF-8: 2 products, 2 new" in told


def test_a_second_import_updates_and_never_touches_stock_unless_asked(write: Write) -> None:
    run(write(row(), row(sku="B-2")))
    Level.objects.filter(product__sku="KANI-1").update(on_hand=5, sold=7)
    Product.objects.filter(sku="B-2").update(on_sale=False)
    file = write(row(price=5000, stock=100), row(sku="B-2", stock=100))

    assert "0 new, 1 changed, 1 as before" in run(file)
    assert Product.objects.get(sku="KANI-1").price == 5000
    assert Level.objects.get(product__sku="KANI-1").on_hand == 5
    assert Movement.objects.count() == 2
    assert not Product.objects.get(sku="B-2").on_sale

    assert "Stock of KANI-1: +95" in run(file, set_stock=True)
    assert Level.objects.get(product__sku="KANI-1").on_hand == 100
    assert list(Movement.objects.values_list("product__sku", "on_hand")[:2]) == [("B-2", 88), ("KANI-1", 95)]
    run(file, set_stock=True)
    assert Movement.objects.count() == 4, "what is as counted does not move"


def test_the_same_file_again_changes_nothing_at_all(write: Write, media: Path) -> None:
    file = write(row(picture="kani.jpg"))
    run(file)
    before = list(Product.objects.values())
    files = {path.name: path.stat().st_mtime_ns for path in media.iterdir()}
    assert "0 new, 0 changed, 1 as before" in run(file)
    assert list(Product.objects.values()) == before
    assert {path.name: path.stat().st_mtime_ns for path in media.iterdir()} == files


def test_a_changed_product_says_when_it_changed(write: Write) -> None:
    run(write(row()))
    before = Product.objects.get().changed_at
    run(write(row(name_en="Hairy crab")))
    assert Product.objects.get().changed_at > before


def test_one_bad_row_refuses_the_whole_file_and_every_problem_is_told(write: Write) -> None:
    run(write(row()))
    told = refused(
        write(
            row(price=9999),
            row(sku="B", price="４８００"),
            row(sku="C", tax_class="food", stock="-1", name_ja="あ" * 201),
            row(sku="D", temperature="冷蔵", parcel_size=70, picture="nothing.jpg"),
            row(sku="KANI-1"),
        ),
        set_stock=True,
    )
    assert Product.objects.get().price == 4800
    for part in (
        "nothing of it was imported",
        "row 3, column price: ４８００ is in full-width digits; write it in half-width digits: 4800",
        "row 4, column name_ja: is 201 characters long; at most 200",
        "row 4, column tax_class: food is unknown; it must be one of standard, reduced",
        "row 4, column stock: -1 is not a whole number",
        "row 5, column temperature: 冷蔵 is unknown; it must be one of ambient, chilled, frozen",
        "row 5, column parcel_size: 70 is unknown",
        "row 5, column picture: there is no picture nothing.jpg",
        "row 6, column sku: KANI-1 is already in row 2",
    ):
        assert part in told, told


def test_a_dry_run_tells_what_would_be_done_and_does_none_of_it(write: Write, media: Path) -> None:
    told = run(write(row(picture="kani.jpg")), dry_run=True)
    assert "Nothing was written" in told
    assert "1 new" in told
    assert not Product.objects.exists()
    assert not Level.objects.exists()
    assert not media.exists()


def test_a_cp932_file_comes_in_and_the_command_says_so(write: Write) -> None:
    assert "read as Shift_JIS (CP932)" in run(write(row(name_ja="髙級毛がに"), encoding="cp932", newline="\r\n"))
    assert Product.objects.get().name_ja == "髙級毛がに"


def test_html_is_kept_as_the_text_it_is(write: Write) -> None:
    run(write(row(name_ja="<script>alert(1)</script>")))
    assert Product.objects.get().name_ja == "<script>alert(1)</script>"


def test_a_file_that_is_not_there_is_told(folder: Path) -> None:
    assert "No such file" in refused(folder / "none.csv")
    assert "cannot be read" in refused(folder)


def test_a_missing_column_is_named(write: Write) -> None:
    assert "column stock: this column is missing" in refused(write(row(), header=HEADER.replace(",stock", ",stok")))


@pytest.mark.django_db(transaction=True)
def test_two_who_import_the_same_new_products_at_once_make_them_once(write: Write) -> None:
    file = write(*(row(sku=f"P-{number}") for number in range(30)))
    start = threading.Barrier(2)
    ended: list[str] = []

    def bring() -> None:
        try:
            start.wait()
            run(file)
            ended.append("done")
        except CommandError:
            ended.append("refused")
        except Exception as error:  # told by the assertion below
            ended.append(repr(error))
        finally:
            connections.close_all()

    people = [threading.Thread(target=bring) for _ in range(2)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(ended) in (["done", "done"], ["done", "refused"])
    assert Product.objects.count() == Level.objects.count() == Movement.objects.count() == 30
    assert set(Level.objects.values_list("on_hand", flat=True)) == {12}


# Pictures


def test_a_picture_is_made_small_and_clean(write: Write, folder: Path, media: Path) -> None:
    picture = Image.new("RGB", (1600, 800), "#3c3")
    exif = Image.Exif()
    exif[0x0112] = 6  # lying on its side
    exif[0x010F] = "Secret camera"
    picture.save(folder / "pictures" / "kani.jpg", exif=exif)
    run(write(row(picture="kani.jpg")))
    name = Product.objects.get().picture
    assert len(name) == 64
    large, small = Image.open(media / f"{name}.webp"), Image.open(media / f"{name}-480.webp")
    assert (large.format, large.size) == ("WEBP", (600, 1200))
    assert (small.format, small.size) == ("WEBP", (240, 480))
    assert not large.getexif()
    assert b"Secret" not in (media / f"{name}.webp").read_bytes()
    assert (media / f"{name}.webp").stat().st_mode & 0o777 == 0o644
    assert len(list(media.iterdir())) == 2


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "link.png"])
def test_a_picture_outside_the_pictures_folder_is_refused(write: Write, folder: Path, name: str) -> None:
    Image.new("RGB", (8, 8)).save(folder / "secret.png")
    os.symlink(folder / "secret.png", folder / "pictures" / "link.png")
    assert "is not inside the pictures folder" in refused(write(row(picture=name)))


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff\xe0 not a jpeg", b"RIFF\0\0\0\0WEBP"])
def test_a_file_that_is_no_picture_is_refused(write: Write, folder: Path, content: bytes) -> None:
    (folder / "pictures" / "kani.jpg").write_bytes(content)
    assert "is not a whole JPEG, PNG or WebP picture" in refused(write(row(picture="kani.jpg")))


def test_half_a_picture_is_refused(write: Write, folder: Path) -> None:
    whole = (folder / "pictures" / "kani.jpg").read_bytes()
    (folder / "pictures" / "kani.jpg").write_bytes(whole[: len(whole) // 2])
    assert "is not a whole" in refused(write(row(picture="kani.jpg")))


def test_a_gif_that_calls_itself_a_jpeg_is_refused(write: Write, folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "pictures" / "kani.jpg", "GIF")
    assert "is not a whole JPEG" in refused(write(row(picture="kani.jpg")))


def test_a_picture_too_large_in_pixels_or_bytes_is_refused(write: Write, folder: Path) -> None:
    Image.new("1", (5001, 4)).save(folder / "pictures" / "wide.png")
    (folder / "pictures" / "heavy.png").write_bytes(b"\0" * (5 * 1024 * 1024 + 1))
    told = refused(write(row(picture="wide.png"), row(sku="B", picture="heavy.png")))
    assert "row 2, column picture: is 5001 x 4 pixels; at most 5000" in told
    assert "row 3, column picture: heavy.png is larger than 5 MB" in told


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "1", "I;16"])
def test_pictures_of_every_kind_come_in(write: Write, folder: Path, media: Path, mode: str) -> None:
    Image.new(mode, (20, 10)).save(folder / "pictures" / "kani.png")
    run(write(row(picture="kani.png")))
    with Image.open(media / f"{Product.objects.get().picture}.webp") as kept:
        assert kept.size == (20, 10)


def test_pictures_come_from_another_folder_when_told_so(write: Write, folder: Path) -> None:
    (folder / "pictures").rename(folder / "photos")
    assert "the pictures folder" in refused(write(row(picture="kani.jpg")))
    run(write(row(picture="kani.jpg")), pictures=folder / "photos")
    assert Product.objects.get().picture


# Shipping and tax


def shipping(folder: Path, **files: str) -> str:
    out = StringIO()
    paths: dict[str, object] = {}
    for name, content in files.items():
        if name == "free_above":
            paths[name] = content
            continue
        paths[name] = folder / f"{name}.csv"
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    call_command("import_shipping", stdout=out, **paths)
    return out.getvalue()


FEES = "region,size,temperature,fee\nhokkaido,60,chilled,500\nhokkaido,80,chilled,600\n"
ISLANDS = "postal_prefix,fee,name_ja,name_en\n0971,660,礼文島,Rebun Island\n"


def test_a_shipping_file_is_the_whole_table(folder: Path) -> None:
    assert "2 rows, 2 new" in shipping(folder, fees=FEES, islands=ISLANDS, free_above="15000")
    kept = ShippingFee.objects.get(size=80).pk
    told = shipping(folder, fees=FEES.replace("hokkaido,60", "kanto,60"))
    assert "2 rows, 1 new, 0 changed, 1 removed" in told
    assert "No fee for okinawa, frozen, size 160" in told
    assert set(ShippingFee.objects.values_list("region", "size")) == {("kanto", 60), ("hokkaido", 80)}
    assert ShippingFee.objects.get(size=80).pk == kept
    assert RemoteIsland.objects.get().fee == 660
    assert ShippingRule.objects.get().free_above == 15000
    shipping(folder, free_above="never")
    assert ShippingRule.objects.get().free_above is None


def test_all_problems_of_all_shipping_files_are_told_and_nothing_is_imported(folder: Path) -> None:
    with pytest.raises(CommandError) as error:
        shipping(
            folder,
            fees=FEES + "tohoku,61,warm,1.5\nhokkaido,80,chilled,700\n",
            islands="postal_prefix,fee,name_ja,name_en\n097-1,660,,\n",
            free_above="lots",
        )
    told = str(error.value)
    for part in (
        "row 4, column region: tohoku is unknown",
        "row 4, column size",
        "row 4, column temperature",
        "row 4, column fee",
        "row 5, column region: hokkaido 80 chilled is already in row 3",
        "row 2, column postal_prefix: 097-1 must be 1 to 7 half-width digits",
        "--free-above",
    ):
        assert part in told, told
    assert not ShippingFee.objects.exists()
    assert not RemoteIsland.objects.exists()


def test_tax_rates_are_added_and_corrected_and_never_removed(folder: Path) -> None:
    file = folder / "tax.csv"
    file.write_text("tax_class,percent,starts_on\nstandard,10,2019-10-01\nreduced,8,2019/10/1\n")
    call_command("import_tax_rates", file, stdout=StringIO())
    file.write_text("tax_class,percent,starts_on\nreduced,0,2027-04-01\nstandard,11,2019-10-01\n")
    call_command("import_tax_rates", file, stdout=StringIO())
    assert set(TaxRate.objects.values_list("tax_class", "percent", "starts_on__year")) == {
        ("standard", 11, 2019),
        ("reduced", 8, 2019),
        ("reduced", 0, 2027),
    }
    file.write_text("tax_class,percent,starts_on\nreduced,108,soon\n")
    with pytest.raises(CommandError, match="not between 0 and 100"):
        call_command("import_tax_rates", file, stdout=StringIO())


# The demo


def test_the_demo_comes_in_by_the_same_door_and_a_second_time_changes_nothing() -> None:
    def everything() -> list[object]:
        return [
            list(model.objects.order_by("pk").values())
            for model in (Product, Level, Movement, TaxRate, ShippingFee, RemoteIsland, ShippingRule)
        ]

    call_command("import_demo", stdout=StringIO())
    before = everything()
    call_command("import_demo", stdout=StringIO())
    assert everything() == before
    assert Product.objects.count() >= 12
    assert set(Product.objects.values_list("tax_class", flat=True)) == {"standard", "reduced"}
    assert set(Product.objects.values_list("temperature", flat=True)) == {"ambient", "chilled", "frozen"}
    stocks = set(Level.objects.values_list("on_hand", flat=True))
    assert {0, 3} <= stocks
    assert not Product.objects.filter(picture="").exists()


def test_the_demo_leaves_a_shop_with_products_alone_when_told_so(write: Write) -> None:
    run(write(row()))
    call_command("import_demo", if_empty=True, stdout=StringIO())
    assert Product.objects.get().sku == "KANI-1"


def test_commands_are_typed_with_hyphens(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core import management

    from todoku import __main__ as todoku
    from todoku import database

    typed: list[list[str]] = []
    monkeypatch.setattr(management, "execute_from_command_line", typed.append)
    monkeypatch.setattr(database, "ensure", lambda: "")
    monkeypatch.setattr(database, "check_reachable", lambda: None)
    todoku.main(["import-catalog", "my-file.csv", "--set-stock"])
    todoku.main(["--version"])
    assert typed == [["todoku", "import_catalog", "my-file.csv", "--set-stock"], ["todoku", "--version"]]
