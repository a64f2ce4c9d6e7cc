"""Templates: `(a|b)` picks one, `[a]` is there half the time, `{slot}` is filled in."""

import functools
import random

PAIRS = {"(": ")", "[": "]"}


@functools.lru_cache(maxsize=None)
def parse(template: str):
    """Turns a template into a list of parts: text, or a tuple of (kind, payload)."""
    parts, rest = _sequence(template, 0, "")
    assert rest == len(template), f"unbalanced template: {template}"
    return parts


def _sequence(template, at, closers):
    parts, text = [], ""
    while at < len(template) and template[at] not in closers:
        char = template[at]
        if char in PAIRS:
            options, at = _options(template, at + 1, PAIRS[char])
            parts += [text, ("optional" if char == "[" else "choice", options)]
            text = ""
        elif char == "{":
            end = template.index("}", at)
            parts += [text, ("slot", template[at + 1 : end])]
            text, at = "", end + 1
        else:
            text, at = text + char, at + 1
    return parts + [text], at


def _options(template, at, closer):
    options = []
    while True:
        option, at = _sequence(template, at, "|" + closer)
        options.append(option)
        assert at < len(template), f"unbalanced template: {template}"
        if template[at] == closer:
            return options, at + 1
        at += 1


def expand(rng: random.Random, template: str, slots: dict | None = None) -> str:
    """One random sentence of a template, spaces tidied."""
    text = _write(rng, parse(template), slots or {})
    return " ".join(text.split(" ")).strip() if "\n" in text else " ".join(text.split())


def pick(rng: random.Random, templates: list[str], slots: dict | None = None) -> str:
    """One random sentence of a random template."""
    return expand(rng, rng.choice(templates), slots)


def _write(rng, parts, slots):
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
        elif part[0] == "slot":
            text += str(slots[part[1]])
        elif part[0] == "choice" or rng.random() < 0.5:
            text += _write(rng, rng.choice(part[1]), slots)
    return text
