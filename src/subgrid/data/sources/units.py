"""Units as files spell them."""

from __future__ import annotations

import re

SPELLINGS = {
    "kelvin": "k",
    "degk": "k",
    "degreesc": "c",
    "degc": "c",
    "celsius": "c",
    "degree_c": "c",
    "degrees_c": "c",
}


def plain_units(units: str) -> str:
    """One spelling for `m s**-1`, `m s^-1`, `m/s`, `m s-1`."""
    text = re.sub(r"\*\*|\^", "", units.strip().lower())
    text = re.sub(r"/\s*([a-z]+)(\d*)", lambda m: f" {m[1]}-{m[2] or 1}", text)
    return " ".join(SPELLINGS.get(word, word) for word in text.replace("*", " ").replace(".", " ").split())
