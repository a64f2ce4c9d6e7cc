"""Proves that no held-out sentence, its slots masked, occurs in the training text.

    python check_heldout.py [CONVERSATIONS]

Writes conversations as training does and looks for every held-out sentence in them, in two ways: as the writer does when it leaves them out
(`text/heldout.py`), and with regular expressions that share nothing with it. First it makes sure that both find what is there.
"""

import re
import sys
import unicodedata

from text.conversation import Writer
from text.heldout import HeldOut, prompts

DRESS = re.compile(r"[^\w+\-*/=×−&]|_")  # spaces and punctuation; an operator is part of a sentence


def bare(text: str) -> str:
    """A sentence without case, spaces and punctuation."""
    return DRESS.sub("", unicodedata.normalize("NFKC", text).casefold())


def expression(turn: str, slots: list[str]) -> re.Pattern:
    """What matches a sentence whatever stands in its slots and for its numbers."""
    pieces = [turn]
    for slot in sorted(slots, key=len, reverse=True):
        pieces = [piece for text in pieces for piece in text.split(slot)]
    return re.compile(".*".join(re.sub(r"\d+", r"\\d+", re.escape(bare(piece))) for piece in pieces))


class Search:
    """Every held-out sentence as an expression; turns of `everyday.jsonl` that belong together count only together."""

    def __init__(self):
        self.alone, self.together = [], []
        for prompt in prompts("prompts.jsonl"):
            turns = prompt["turns"] if len(prompt["turns"]) <= 2 else [prompt["turns"][0], prompt["turns"][-1]]  # what stands between is a distractor
            self.alone += [expression(turn, prompt["slots"]) for turn in turns]
        for prompt in prompts("everyday.jsonl"):
            turns = [expression(turn, prompt["slots"]) for turn in prompt["turns"]]
            if len(turns) == 1:
                self.alone += turns
            else:
                self.together.append((turns[0], turns[-1]))
        self.any_alone = re.compile("|".join(f"(?:{one.pattern})" for one in self.alone))

    def contains(self, turns: list[str]) -> bool:
        """Whether a conversation's user says any held-out sentence."""
        said = [bare(turn) for turn in turns]
        says = lambda wanted: any(wanted.fullmatch(text) for text in said)
        return says(self.any_alone) or any(says(first) and says(last) for first, last in self.together)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    held_out, search = HeldOut(), Search()
    for name in ("prompts.jsonl", "everyday.jsonl"):
        for prompt in prompts(name):
            for turns in (prompt["turns"], [turn.upper().replace("?", " !") for turn in prompt["turns"]]):
                assert held_out.contains(turns) and search.contains(turns), f"{prompt['id']} is not found in {turns}"
    writer = Writer(seed=20_261_123, held_out=held_out)
    said, found = 0, []
    for _ in range(count):
        turns = [message["content"] for message in writer.conversation() if message["role"] == "user"]
        said += len(turns)
        if held_out.contains(turns) or search.contains(turns):
            found.append(turns)
    for turns in found[:20]:
        print("held out, but in the training text:", turns)
    assert not found, f"{len(found)} of {count} conversations"
    print(f"{count} conversations, {said} sentences: none of them is held out")


if __name__ == "__main__":
    main()
