"""A small original instruction dataset: read a sentence, answer with a JSON object. Deterministic.

Four kinds of records (orders, meetings, shipments, bookings) in several wordings. The test rows share no name, place,
thing or number with training and validation, so that only the skill, not a value, can be remembered.
"""

import argparse
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

TRAINING, VALIDATION, TEST = 2000, 100, 200
INSTRUCTION = "Extract the {kind} as JSON.\n\n{sentence}\n\nJSON:\n"

SEEN = {
    "first": "Alice Bruno Carla David Emma Felix Greta Henry Irene Jonas Karin Lukas Marta Nadia Oscar Paula Robert "
    "Sofia Thomas Ursula Victor Wanda Yusuf Zoe Amir Bianca Colin Diana Erik Fiona Gustav Hanna".split(),
    "last": "Adams Bauer Costa Duval Evans Fischer Garcia Hansen Ivanov Jensen Keller Lopez Meyer Novak Olsen Petrov "
    "Quinn Rossi Schmidt Turner Vogel Weber Young Ziegler Brandt Clark Dumont Eriksen".split(),
    "city": "Berlin Paris Madrid Rome Vienna Oslo Dublin Prague Lisbon Warsaw Athens Zurich Hamburg Lyon Turin Seville "
    "Bergen Cork Brno Porto".split(),
    "thing": ["desk lamps", "office chairs", "notebooks", "coffee cups", "monitors", "bookshelves", "keyboards",
              "whiteboards", "printers", "backpacks", "umbrellas", "water bottles", "cushions", "clocks", "blankets",
              "screwdrivers", "bicycles", "helmets", "tents", "guitars"],
    "topic": ["the budget", "the new website", "hiring", "the summer fair", "safety rules", "the annual report",
              "customer feedback", "the office move", "travel costs", "the product launch", "training plans",
              "the data migration"],
    "month": "January February March April May June July September October".split(),
    "room": "Maple Cedar Birch Willow Aspen Juniper Hazel Rowan".split(),
    "carrier": ["Northline", "Swift Cargo", "BlueVan", "Parcelway", "RoadStar", "Express Nine"],
}  # fmt: skip
UNSEEN = {
    "first": "Anton Beatrix Cyril Dorothea Emil Frieda Gideon Hilda Igor Judith Konrad Leonie".split(),
    "last": "Abbott Becker Carlsen Dietrich Engel Farkas Gruber Holm Iversen Jung Kovac Lindqvist".split(),
    "city": "Geneva Krakow Malmo Naples Rotterdam Salzburg Toulouse Valencia".split(),
    "thing": ["wool scarves", "garden hoses", "oil paintings", "flower pots", "tea kettles", "rain boots",
              "chess boards", "picture frames"],
    "topic": ["the merger", "parking spaces", "the charity run", "energy use", "the library catalogue", "night shifts"],
    "month": "August November December".split(),
    "room": "Sycamore Magnolia Cypress Hawthorn".split(),
    "carrier": ["Harbour Freight", "Quickmile", "Eastern Post"],
}  # fmt: skip


class Draw:
    """Values of one half of the vocabulary. Numbers are split by their remainder, so that they differ too."""

    def __init__(self, rng: random.Random, unseen: bool) -> None:
        self.rng, self.unseen, self.words = rng, unseen, UNSEEN if unseen else SEEN

    def __call__(self, kind: str) -> str:
        return self.rng.choice(self.words[kind])

    def name(self) -> str:
        return f"{self('first')} {self('last')}"

    def number(self, low: int, high: int) -> int:
        """Held-out numbers are those divisible by 5."""
        while True:
            drawn = self.rng.randint(low, high)
            if (drawn % 5 == 0) == self.unseen:
                return drawn


def order(draw: Draw) -> tuple[str, dict]:
    customer, thing, count = draw.name(), draw("thing"), draw.number(2, 90)
    price, city = draw.number(3, 400), draw("city")
    sentence = draw.rng.choice(
        [
            f"{customer} from {city} ordered {count} {thing} at ${price} each.",
            f"We received an order for {count} {thing} from {customer} in {city}; the unit price is ${price}.",
            f"Please note: {count} {thing}, ${price} apiece, to be billed to {customer}, {city}.",
            f"An order came in from {city}. {customer} wants {count} {thing} and pays ${price} for each of them.",
        ]
    )
    return sentence, {"customer": customer, "city": city, "item": thing, "quantity": count, "unit_price": price}


def meeting(draw: Draw) -> tuple[str, dict]:
    host, guest, topic = draw.name(), draw.name(), draw("topic")
    day, month, room = draw.number(1, 28), draw("month"), draw("room")
    sentence = draw.rng.choice(
        [
            f"{host} meets {guest} on {day} {month} in room {room} to talk about {topic}.",
            f"On {month} {day}, {host} will discuss {topic} with {guest} (room {room}).",
            f"Room {room} is reserved on {day} {month}: {host} and {guest}, about {topic}.",
            f"Reminder for {host}: your talk with {guest} about {topic} is on {month} {day}, room {room}.",
        ]
    )
    return sentence, {"host": host, "guest": guest, "date": f"{day} {month}", "room": room, "topic": topic}


def shipment(draw: Draw) -> tuple[str, dict]:
    source = draw("city")
    target = draw.rng.choice([city for city in draw.words["city"] if city != source])
    thing, weight, carrier = draw("thing"), draw.number(2, 950), draw("carrier")
    sentence = draw.rng.choice(
        [
            f"{carrier} took {weight} kg of {thing} from {source} to {target}.",
            f"A load of {thing}, {weight} kg, left {source} for {target} with {carrier}.",
            f"From {source} to {target}: {thing} weighing {weight} kg, carried by {carrier}.",
            f"{target} is waiting for {weight} kg of {thing}, which {carrier} collected in {source}.",
        ]
    )
    return sentence, {"from": source, "to": target, "goods": thing, "weight_kg": weight, "carrier": carrier}


def booking(draw: Draw) -> tuple[str, dict]:
    guest, city, nights = draw.name(), draw("city"), draw.number(2, 20)
    day, month = draw.number(1, 28), draw("month")
    sentence = draw.rng.choice(
        [
            f"{guest} stays {nights} nights in {city}, arriving on {day} {month}.",
            f"Booking: {city}, {nights} nights from {month} {day}, in the name of {guest}.",
            f"Please keep a room in {city} for {guest}. The stay begins on {day} {month} and lasts {nights} nights.",
            f"For {nights} nights, starting {month} {day}, {guest} has taken a room in {city}.",
        ]
    )
    return sentence, {"guest": guest, "city": city, "arrival": f"{day} {month}", "nights": nights}


KINDS: dict[str, Callable[[Draw], tuple[str, dict]]] = {
    "order": order,
    "meeting": meeting,
    "shipment": shipment,
    "booking": booking,
}


def make_rows(count: int, unseen: bool, seed: int, taken: set[str] | None = None) -> list[dict[str, str]]:
    """`count` different rows, none of whose sentences is in `taken`; those drawn are added to it."""
    taken = set() if taken is None else taken
    draw, rows = Draw(random.Random(seed), unseen), []
    while len(rows) < count:
        kind = draw.rng.choice(list(KINDS))
        sentence, record = KINDS[kind](draw)
        if sentence not in taken:
            taken.add(sentence)
            rows.append({"input": INSTRUCTION.format(kind=kind, sentence=sentence), "output": json.dumps(record)})
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    os.replace(partial, path)


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    write(folder / "training.jsonl", make_rows(TRAINING, False, 1, taken))
    write(folder / "validation.jsonl", make_rows(VALIDATION, False, 2, taken))
    write(folder / "test.jsonl", make_rows(TEST, True, 3, taken))
    print(f"data: {folder}: {TRAINING} training, {VALIDATION} validation, {TEST} test rows (unseen names and values)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo-run/data"))
    make(parser.parse_args().folder)


if __name__ == "__main__":
    main()
