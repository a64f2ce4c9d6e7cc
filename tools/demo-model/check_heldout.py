"""Proves that no held-out sentence, its slots masked, occurs in the training text.

    python check_heldout.py [CONVERSATIONS]

Writes conversations as training does and looks for every held-out sentence in them; first it makes sure that the search finds what is there.
"""

import sys

from text.conversation import Writer
from text.heldout import HeldOut, prompts


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    held_out = HeldOut()
    for name in ("prompts.jsonl", "everyday.jsonl"):
        for prompt in prompts(name):
            assert held_out.contains(prompt["turns"]), f"the search misses {prompt['id']}"
            assert held_out.contains([turn.upper().replace("?", " !") for turn in prompt["turns"]]), f"the search misses {prompt['id']} in other dress"
    writer = Writer(seed=20_261_123, held_out=held_out)
    said = 0
    for _ in range(count):
        turns = [message["content"] for message in writer.conversation() if message["role"] == "user"]
        said += len(turns)
        assert not held_out.contains(turns), f"held out, but in the training text: {turns}"
    print(f"{count} conversations, {said} sentences: none of them is held out")


if __name__ == "__main__":
    main()
