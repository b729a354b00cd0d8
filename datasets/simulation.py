"""A made-up gift shop for machines without data: lines like a real shop's, so that the same code runs on them.

Nothing measured on it holds for a real shop; its name is in every id and in every product's code. Tastes (how
much a word is liked) wander from day to day, themes have their season, products come and go, and a basket stays mostly
within a theme: a model that is not trained becomes stale, and the context helps.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from math import cos, exp, pi
from random import Random
from typing import NamedTuple

from datasets.shop import DAY_MS, MINUTE_MS, Line, Mapping

NAME = "simulation"
ABOUT = "simulation: a made-up shop drawn from a seed; no metric from it holds for a real one"
START_MS = int(datetime(2010, 12, 1, tzinfo=UTC).timestamp()) * 1_000
STREAM_START_MS = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp()) * 1_000
DAYS = 274  # to the end of August 2011, as long as the real stream
PRODUCTS = 600
CUSTOMERS = 1_500
ORDERS_PER_DAY = 60
OPENING_MINUTE, OPEN_MINUTES = 8 * 60, 10 * 60
STYLES = (
    *("red", "blue", "ivory", "pink", "green", "silver", "vintage", "retro"),
    *("wooden", "glass", "zinc", "felt", "spotty", "striped", "floral", "heart"),
)
THEMES = {  # things sold, and the day of the year of their season
    "garden": ("plant pot", "trowel", "seed tin", "hanging basket", "bird feeder", "watering can", 140),
    "kitchen": ("tea towel", "enamel jug", "cake stand", "apron", "storage tin", "mug", 60),
    "party": ("paper bunting", "balloons", "napkins", "paper cups", "garland", "straws", 190),
    "christmas": ("bauble", "wreath", "advent calendar", "reindeer", "stocking", "snow globe", 345),
    "nursery": ("building blocks", "night light", "puzzle", "blanket", "soft rabbit", "toy soldier", 260),
    "office": ("notebook", "pencil case", "desk tidy", "letter rack", "stamp set", "paper weight", 20),
}


class _Product(NamedTuple):
    code: str
    text: str
    words: tuple[str, ...]
    theme: str
    price: float
    launch_day: int
    last_day: int


def mapping(seed: int) -> Mapping:
    """Open the data set: the first 31 days are history."""
    return Mapping(prefix=NAME, seed=seed, stream_start_ms=STREAM_START_MS)


def lines(seed: int, days: int = DAYS, orders_per_day: int = ORDERS_PER_DAY) -> Iterator[Line]:
    """Yield order lines and cancellations over ``days``, in order of time; the same for the same arguments."""
    rng = Random(f"{NAME}/{seed}")  # noqa: S311 - a draw to repeat, not a secret
    products = list(_products(rng))
    taste = {word: rng.gauss(0, 1) for product in products for word in product.words}
    refunds: dict[int, list[Line]] = {}
    for day in range(days):
        # An autoregression of standard deviation 1 whose memory is about two months.
        taste = {word: 0.985 * liking + rng.gauss(0, 0.1726) for word, liking in taste.items()}
        on_sale = [product for product in products if product.launch_day <= day <= product.last_day]
        weights = [_weight(product, day, taste) for product in on_sale]
        todays = [line for number in range(orders_per_day) for line in _order(day, number, on_sale, weights, rng)]
        for line in todays:
            if rng.random() < 0.02:
                refunds.setdefault(day + rng.randint(1, 14), []).append(line)
        cancelled = [_cancellation(line, day, rng) for line in refunds.pop(day, [])]
        yield from sorted(todays + cancelled, key=lambda line: line.time_ms)


def _products(rng: Random) -> Iterator[_Product]:
    for number in range(PRODUCTS):
        theme = rng.choice(list(THEMES))
        *things, _ = THEMES[theme]
        words = (*rng.sample(STYLES, 2), str(rng.choice(things)))
        launch = 0 if rng.random() < 0.6 else rng.randrange(DAYS)
        price = round(exp(rng.gauss(1, 0.7)), 2)
        last = launch + rng.randrange(60, DAYS * 2)
        yield _Product(f"{NAME}-{number}", " ".join(words).upper(), words, theme, price, launch, last)


def _order(day: int, number: int, on_sale: list[_Product], weights: list[float], rng: Random) -> Iterator[Line]:
    """Yield one customer's basket, most of it from one theme."""
    first = rng.choices(on_sale, weights)[0]
    inside = [product.theme == first.theme for product in on_sale]
    within = list(accumulate(weight * (1.0 if same else 0.1) for weight, same in zip(weights, inside, strict=True)))
    basket = dict.fromkeys([first, *rng.choices(on_sale, cum_weights=within, k=rng.randint(0, 9))])
    time_ms = START_MS + day * DAY_MS + (OPENING_MINUTE + rng.randrange(OPEN_MINUTES)) * MINUTE_MS
    customer = f"c{rng.randrange(CUSTOMERS)}" if rng.random() < 0.75 else ""
    country = "United Kingdom" if rng.random() < 0.9 else rng.choice(["France", "Germany"])
    for product in basket:
        yield Line(f"{day}n{number}", product.code, product.text, product.price, time_ms, customer, country)


def _weight(product: _Product, day: int, taste: dict[str, float]) -> float:
    """Return how often a product is wanted: exp(tastes of its words + its theme's season)."""
    season = 0.7 * cos(2 * pi * (day + 335 - int(THEMES[product.theme][-1])) / 365)  # day 0 is 1 December, the 335th
    return exp(sum(taste[word] for word in product.words) + season)


def _cancellation(line: Line, day: int, rng: Random) -> Line:
    time_ms = START_MS + day * DAY_MS + (OPENING_MINUTE + rng.randrange(OPEN_MINUTES)) * MINUTE_MS
    return line._replace(order=f"C{line.order}-{line.item}", time_ms=time_ms, cancels=True)
