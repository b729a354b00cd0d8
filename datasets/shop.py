"""Convert a shop's order lines to interactions: impressions just before the order, purchases and returns.

A shop records sales, not impressions. Each bought product becomes an impression that a purchase answers, next to
products that were in the catalogue and not in the order, drawn with a recorded probability. Price and text come for
both from the catalogue as it was known before that day; taken from the order line, they would reveal the label.

Pure: independent of files and Kafka. Everything random is drawn from the seed and the order's number, so that one
order's draws do not depend on the orders before it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from typing import NamedTuple

from datasets.interaction import Answer, Shown
from importance.context import context_of
from importance.sample import Action

DAY_MS = 86_400_000
MINUTE_MS = 60_000
HESITATION_MS = 3_000  # from an impression to its purchase, and on to a return; less than half a slot of the minute
DRAWN_PER_BOUGHT = 2
HALF_LIFE_DAYS = 14.0


class Line(NamedTuple):
    """One line of an order or, with ``cancels``, of a cancellation.

    ``customer``, ``country`` and ``category`` are empty where none is known.
    """

    order: str
    item: str
    text: str
    price: float
    time_ms: int
    customer: str
    country: str
    cancels: bool = False
    category: str = ""


class Product(NamedTuple):
    """A catalogue entry, as last seen before a day. ``price`` in the shop's currency."""

    text: str
    price: float
    category: str = ""


class Mapping(NamedTuple):
    """How lines become interactions. ``prefix`` starts every id; days before ``stream_start_ms`` are history.

    ``on_sale_days``: products not sold for so many days are neither drawn nor shown; None shows the whole catalogue.
    ``habits``: how many of the customer's most bought products follow the order's last ones in the context.
    ``customers``: share of the customers whose orders are shown; all orders count for catalogue and popularity.
    """

    prefix: str
    seed: int
    stream_start_ms: int
    shown_per_order: int = 3
    shown_per_order_in_history: int = 8
    context_products: int = 3
    habits: int = 0
    on_sale_days: int | None = None
    customers: float = 1.0
    customers_in_history: float = 1.0


def interactions(lines: Iterable[Line], mapping: Mapping) -> Iterator[Shown | Answer]:
    """Convert lines, given in order of time, to impressions and their answers, in order of time.

    Each day is sorted by itself; sorting is stable, so a slate's products stay together, in order of position.
    """
    known = _Known()
    bought: dict[tuple[str, str], Shown] = {}
    for day, of_day in groupby(lines, key=lambda line: line.time_ms // DAY_MS):
        known.start(day, mapping.on_sale_days)
        orders: dict[str, list[Line]] = {}
        for line in of_day:
            orders.setdefault(line.order, []).append(line)
        events: list[Shown | Answer] = []
        for basket in orders.values():
            if basket[0].cancels:
                events.extend(_returns(basket, bought))
                continue
            for shown in _slates(basket, known, mapping) if _is_shown(basket[0], mapping) else ():
                events.append(shown)
                if shown.action:
                    events.append(Answer(shown.id, "purchase", shown.time_ms + HESITATION_MS, shown.subject))
                    if shown.time_ms >= mapping.stream_start_ms:  # a return could not name what is not in the stream
                        bought[shown.subject, shown.item] = shown
            known.count(basket)
        known.learn(day, (line for basket in orders.values() for line in basket if not line.cancels))
        yield from sorted(events, key=lambda event: event.time_ms)


def _is_shown(line: Line, mapping: Mapping) -> bool:
    """Return whether this line's customer is one of those whose orders are shown."""
    in_stream = line.time_ms >= mapping.stream_start_ms
    share = mapping.customers if in_stream else mapping.customers_in_history
    return share >= 1 or Random(f"{mapping.seed}/{line.customer}").random() < share  # noqa: S311 - a draw to repeat


@dataclass
class _Known:
    """The shop's state: yesterday's catalogue, and order counts up to this moment."""

    catalogue: dict[str, Product] = field(default_factory=dict)
    last_sold: dict[str, int] = field(default_factory=dict)  # the day, by product in order of first sale
    items: list[str] = field(default_factory=list)  # what may be shown today
    on_sale: frozenset[str] = frozenset()
    habits: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    counts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    landmark_ms: int | None = None

    def start(self, day: int, on_sale_days: int | None) -> None:
        """Start a day: only what was sold in the last ``on_sale_days`` before it is on sale."""
        since = -1 if on_sale_days is None else day - on_sale_days
        self.items = [item for item, last in self.last_sold.items() if last >= since]
        self.on_sale = frozenset(self.items)

    def learn(self, day: int, lines: Iterable[Line]) -> None:
        """End the day: its sales are known from now on."""
        for line in lines:
            self.last_sold[line.item] = day
            self.catalogue[line.item] = Product(line.text, line.price, line.category)
            self.habits[line.customer][line.item] += 1

    def count(self, basket: Sequence[Line]) -> None:
        growth = self._growth(basket[0].time_ms)
        for item in {line.item for line in basket}:
            self.counts[item] += growth

    def popularity(self, item: str, time_ms: int) -> float:
        return round(self.counts.get(item, 0.0) / self._growth(time_ms), 4)

    def _growth(self, time_ms: int) -> float:
        """Return 2^(t / half-life): counting forward with growing weights is the same as letting old counts decay."""
        if self.landmark_ms is None:
            self.landmark_ms = time_ms
        return float(2.0 ** ((time_ms - self.landmark_ms) / (HALF_LIFE_DAYS * DAY_MS)))


def _slates(basket: Sequence[Line], known: _Known, mapping: Mapping) -> Iterator[Shown]:
    """Yield, for some of an order's known products, the product and those drawn with it, in the order's minute.

    ``propensity``: 1 for a bought product (shown by construction), else the chance of being among those drawn; so it
    separates the classes. ``popularity``: orders that held the product, each halved every 14 days, as counted just
    before this order.
    """
    order, _, _, _, start_ms, customer, country, *_ = basket[0]
    slots = mapping.shown_per_order if start_ms >= mapping.stream_start_ms else mapping.shown_per_order_in_history
    put_in = list(dict.fromkeys(line.item for line in basket))
    candidates = [index for index, item in enumerate(put_in) if item in known.on_sale]
    rng = Random(f"{mapping.seed}/{order}")  # noqa: S311 - a draw to repeat, not a secret
    chosen = sorted(rng.sample(candidates, min(slots, len(candidates))))
    texts = {line.item: line.text for line in basket}
    habits = [item for item, _ in known.habits[customer].most_common(mapping.habits)] if customer else []
    slot_ms = MINUTE_MS // slots
    delay_ms = rng.randrange(slot_ms // 2)
    for number, index in enumerate(chosen):
        drawn, chance = _draw(known.items, put_in, len(known.items) - len(candidates), rng)
        slate = [put_in[index], *drawn]
        rng.shuffle(slate)
        context = dict.fromkeys(put_in[max(0, index - mapping.context_products) : index] + habits)
        query = context_of(known.catalogue[item].text if item in known.catalogue else texts[item] for item in context)
        shown_ms = start_ms + number * slot_ms + delay_ms
        for position, item in enumerate(slate, start=1):
            is_bought = item == put_in[index]
            yield Shown(
                id=f"{mapping.prefix}-{mapping.seed}-{order}-{number + 1}-{position}",
                time_ms=shown_ms,
                subject=customer or order,
                query=query,
                item=item,
                text=known.catalogue[item].text,
                position=position,
                propensity=1.0 if is_bought else chance,
                attributes={
                    "price": known.catalogue[item].price,
                    "popularity": known.popularity(item, start_ms),
                    **({"country": country} if country else {}),
                    **({"category": known.catalogue[item].category} if known.catalogue[item].category else {}),
                },
                action=Action.PURCHASE if is_bought else Action.NONE,
            )


def _draw(items: Sequence[str], basket: Sequence[str], free: int, rng: Random) -> tuple[list[str], float]:
    """Draw products outside the basket, uniformly without replacement: their codes, and the chance of each.

    ``free`` is how many there are to draw from; the chance is draws / free.
    """
    draws = min(DRAWN_PER_BOUGHT, free)
    taken = set(basket)
    drawn: list[str] = []
    while len(drawn) < draws:
        item = items[rng.randrange(len(items))]
        if item not in taken:
            taken.add(item)
            drawn.append(item)
    return drawn, draws / free if free else 1.0


def _returns(basket: Sequence[Line], bought: dict[tuple[str, str], Shown]) -> Iterator[Answer]:
    """Name the latest purchase of each cancelled product by this customer; once each, and only when it was shown."""
    for line in basket:
        purchase = bought.pop((line.customer, line.item), None)
        if purchase is not None:
            earliest_ms = purchase.time_ms + 2 * HESITATION_MS  # some are cancelled in the minute of the order
            yield Answer(purchase.id, "return", max(line.time_ms, earliest_ms), line.customer)
