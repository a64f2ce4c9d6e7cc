"""The held-out sentences, and whether a conversation says one of them."""

import json
import pathlib
import re
import unicodedata

FOLDER = pathlib.Path(__file__).parent.parent / "heldout"
KEEP = "+-*/=×−&"  # an operator is part of the sentence, other punctuation is not


def normal(text: str) -> str:
    """A sentence without case, punctuation, spaces and digits."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"\d+", "#", text)
    return "".join(char for char in text if char.isalnum() or char in KEEP + "#")


def prompts(name: str) -> list[dict]:
    """The prompts of one file of the set."""
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


class HeldOut:
    """Every held-out sentence with its slots masked. Turns of `everyday.jsonl` that belong together are held out together."""

    def __init__(self):
        self.exact, self.patterns, self.together = set(), [], []
        for prompt in prompts("prompts.jsonl"):
            distractors = len(prompt["turns"]) > 2
            for at, turn in enumerate(prompt["turns"]):
                if not (distractors and 0 < at < len(prompt["turns"]) - 1):
                    self._hold(turn, prompt["slots"])
        for prompt in prompts("everyday.jsonl"):
            if len(prompt["turns"]) == 1:
                self._hold(prompt["turns"][0], prompt["slots"])
            else:
                self.together.append([_pattern(turn, prompt["slots"]) for turn in (prompt["turns"][0], prompt["turns"][-1])])

    def _hold(self, turn, slots):
        pattern = _pattern(turn, slots)
        if isinstance(pattern, str):
            self.exact.add(pattern)
        else:
            self.patterns.append(pattern)

    def contains(self, turns: list[str]) -> bool:
        """Whether a conversation's user says any held-out sentence."""
        said = [normal(turn) for turn in turns]
        if any(text in self.exact for text in said):
            return True
        if any(_matches(pattern, text) for pattern in self.patterns for text in said):
            return True
        return any(all(any(_matches(pattern, text) for text in said) for pattern in pair) for pair in self.together)


def _pattern(turn, slots):
    """What a turn must not be: a text, or head and tail around its masked slots."""
    text = turn
    for slot in sorted(slots, key=len, reverse=True):  # 15 before the 1 in it
        text = text.replace(slot, "\0")
    pieces = [normal(piece) for piece in text.split("\0")]
    if len(pieces) == 1:
        return pieces[0]
    return pieces


def _matches(pattern, text):
    if isinstance(pattern, str):
        return text == pattern
    if not text.startswith(pattern[0]) or not text.endswith(pattern[-1]):
        return False
    at = 0
    for piece in pattern:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return len(text) >= sum(map(len, pattern))
