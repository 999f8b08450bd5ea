"""``python -m bench``: open the shop, send the shoppers in, check that every order arrived, write the figures."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from bench import desk, meter, report, score, verdict
from bench.crowd import told_once
from bench.rounds import Round, make_cards, measure
from bench.whole_shop import DidNotOpen, WholeShop

HOUSE = Path(__file__).resolve().parent.parent
#: Shoppers who come before anything is measured: they wake every process up.
EARLY = 8
EARLY_SECONDS = 3.0
#: More cards than this are not typed in beforehand.
MOST_CARDS = 3000
#: How many checkouts a second a shopper is thought to make at most, to type in enough cards.
BRISK = 8.0
SHOP_AT_MOST = 60.0


def say(line: str) -> None:
    """Tell how it goes."""
    print(line, flush=True)


def gateways(text: str) -> list[float]:
    """Read ``instant,1s`` as seconds."""
    found = []
    for word in text.split(","):
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?s", word.strip())
        if word.strip() != "instant" and match is None:
            raise argparse.ArgumentTypeError(f"a gateway is 'instant' or seconds such as 1s, not {word!r}")
        found.append(float(match[1]) if match else 0.0)
    return found


def crowds(text: str) -> list[int]:
    """Read ``1,8,32``."""
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(1 <= number <= 256 for number in found):
        raise argparse.ArgumentTypeError(f"shoppers are numbers from 1 to 256 such as 1,8,32, not {text!r}")
    return found


def seconds(text: str) -> float:
    """Read how long a round is."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.5 <= found <= 600:
        raise argparse.ArgumentTypeError(f"a round lasts between 0.5 and 600 seconds, not {text!r}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 0 when every order arrived and no page went wrong, 1 when not, 2 when it could not run."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["desk"]:
        return desk.main(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure complete checkouts a second through the whole shop, and what each costs. "
        "TODOKU_WEB_PROCESSES, TODOKU_WEB_THREADS, TODOKU_WORKER_CONCURRENCY and TODOKU_DB_POOL_MAX are heeded.",
    )
    parser.add_argument("--seconds", type=seconds, default=15.0, help="how long each round is measured (15)")
    parser.add_argument("--shoppers", type=crowds, default=[1, 8, 32], help="how many at once, one round each (1,8,32)")
    parser.add_argument("--gateway", type=gateways, default=[0.0, 1.0], help="how long a payment takes (instant,1s)")
    parser.add_argument("--out", type=Path, default=HOUSE / "bench" / "latest.md", help="the report (bench/latest.md)")
    chosen = parser.parse_args(arguments)
    if not meter.works():
        print("bench: CPU and memory are read from /proc, so this needs Linux.", file=sys.stderr)
        return 2
    openings: list[report.Opening] = []
    about: dict[str, object] = {}
    sizes: dict[str, str] = {}
    try:
        for gateway in chosen.gateway:
            say(f"Opening the shop with a gateway that takes {gateway:g} s …")
            with WholeShop() as shop:
                opening = report.Opening(gateway, shop.opened_in)
                openings.append(opening)
                [(version,)] = shop.ask("SHOW server_version")
                about, sizes = report.machine(str(version)), shop.sizes
                go_through(shop, opening, chosen.shoppers, chosen.seconds)
    except DidNotOpen as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    report.write(chosen.out, about, sizes, openings)
    say(f"Written: {chosen.out}")
    failed = [said for opening in openings for said in opening.wrong]
    failed += told_once([said for opening in openings for each in opening.rounds for said in each.errors])
    for said in failed:
        print(f"WRONG: {said}", file=sys.stderr)
    return 1 if failed else 0


def go_through(shop: WholeShop, opening: report.Opening, many: list[int], lasting: float) -> None:
    """Measure every number of shoppers at one opening, and then look whether everything adds up."""
    opening.scores = {"Python rounds/s": score.python(), "PostgreSQL commits/s": score.postgres(shop.database)}
    say("  " + ", ".join(f"{name}: {value:,.0f}" for name, value in opening.scores.items()))
    shop.control("settings", {"confirm_seconds": opening.gateway})
    cards: list[str] = []
    early = measure(shop, shoppers=EARLY, seconds=min(EARLY_SECONDS, lasting), gateway=opening.gateway, ramp=0.0)
    thanked, stumbles = list(early.thanked), list(early.errors)
    verdict.settle(shop)
    for shoppers in many:
        pace = BRISK if not opening.gateway else 1 / opening.gateway
        needed = int(min(shoppers * pace, SHOP_AT_MOST) * (lasting + 3)) + shoppers
        cards += make_cards(shop.rehearsal, max(0, min(needed, MOST_CARDS) - len(cards)))
        each = measure(shop, shoppers=shoppers, seconds=lasting, gateway=opening.gateway, cards=cards)
        opening.rounds.append(each)
        thanked += each.thanked
        say(f"  {told(each)}")
        verdict.settle(shop)
    opening.memory = {part: meter.memory(pids) for part, pids in shop.parts().items()}
    books = verdict.look(shop)
    opening.orders = len(books.orders)
    opening.wrong = verdict.wrong(books, thanked) + [f"before the first round: {said}" for said in told_once(stumbles)]
    opening.complaints = shop.complaints()
    say(f"  {opening.orders} orders: " + ("; ".join(opening.wrong) or "all complete, charges and stock add up"))


def told(each: Round) -> str:
    """One round in one line."""
    cpu = ", ".join(f"{part} {each.cpu[part]}" for part in (*report.OWN, "rehearsal", "shoppers"))
    return (
        f"{each.shoppers:>3} shoppers: {each.checkouts_per_second:5.1f} checkouts/s, press-to-complete "
        f"p50 {each.press_to_complete['p50']} p95 {each.press_to_complete['p95']} ms, flow p50 {each.flow['p50']} ms, "
        f"CPU ms an order: {cpu}; others {each.others} CPUs, {len(each.errors)} errors"
    )


if __name__ == "__main__":
    sys.exit(main())
