"""Lengths of time on the command line."""

from __future__ import annotations

from datetime import timedelta

import click


def parse_ttl(text: str) -> timedelta | None:
    """`30m`, `24h`, `7d`, `90s`; None for 0; seven digits at most. Raises click.BadParameter."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if text == "0":
        return None
    if len(text) <= 8 and text[:-1].isdecimal() and text[-1] in units and int(text[:-1]) > 0:
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    raise click.BadParameter(f"{text!r} is not a time like 30m, 24h or 7d")
