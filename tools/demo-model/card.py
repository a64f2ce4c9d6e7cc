"""Writes CARD.md, the model card, from the exported file and the committed reports.

    python card.py ../../crates/banter/assets/banter-demo.gguf FOLDER/last.pt
"""

import json
import pathlib
import sys

import gguf
import torch

from evaluate import REPORT, load_prompts, table
from export import DESCRIPTION, LICENCE, NAME, digest
from judge import refused

CARD = """# {name}

{description}

| | |
| --- | --- |
| file | `{file}`, {size:.1f} MB, Q8_0 |
| SHA-256 | `{digest}` |
| architecture | qwen2: {layers} layers, hidden {hidden}, {heads} heads, {kv_heads} key-value heads, feed-forward {feed_forward}, head tied to the embedding |
| parameters | {parameters:.1f} million |
| vocabulary | {vocabulary} tokens, byte-level BPE of its own, with Qwen2's pre-tokeniser |
| context | {context} tokens; trained on conversations of up to 640 |
| languages | English and Chinese |
| licence | {licence} |

## What it was trained on

Conversations written by the grammar in `text/`, never the same twice, from a fixed seed on; nothing was downloaded. They hold greetings, questions
about banter and about the model, poems, one quicksort, tables, formulas, lists, bold text, sums and differences up to two digits, counting and the
alphabet, repeating sentences, remembering a name, a city or a favourite, long stories from one plot, and thousands of questions on random topics, all
answered with "I don't know".

Besides that, it was drilled in copying: random tokens, said twice. It has seen {tokens:.0f} million tokens in all.

## What it cannot do

- It knows nothing about the world and has no live data. Where it should say so it sometimes answers something else.
- It does not reason, translate, write programs other than its one quicksort, or calculate beyond addition and subtraction up to two digits.
- Its poems and stories are put together from lines that it has seen; they have no other plot.
- It follows no system prompt.
- A phrasing far from those it has seen may be misunderstood.

It isn't Qwen2.5 and says nothing about how well Qwen2.5 answers.

## Evaluation

{evaluation}

The wrong answers are listed in `report/`.
"""


def evaluation() -> str:
    """The table of each committed report."""
    parts = []
    for path in sorted(REPORT.glob("*.json")):
        asked = {prompt["id"]: prompt for prompt in load_prompts(None, 1)}
        judged = [asked[row["id"]] | row | {"refused": refused(row["answer"])} for row in json.loads(path.read_text())]
        title = (REPORT / f"{path.stem}.md").read_text().splitlines()[2]
        parts.append(f"### {path.stem}\n\n{title}\n\n{table(judged)}")
    return "\n\n".join(parts) or "Not evaluated yet."


def main():
    path, checkpoint = pathlib.Path(sys.argv[1]), torch.load(sys.argv[2], weights_only=True)
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields[key].contents()
    card = CARD.format(
        name=NAME, description=DESCRIPTION, file=path.name, size=path.stat().st_size / 1e6, digest=digest(path), licence=LICENCE, layers=field("qwen2.block_count"),
        hidden=field("qwen2.embedding_length"), heads=field("qwen2.attention.head_count"), kv_heads=field("qwen2.attention.head_count_kv"), feed_forward=field("qwen2.feed_forward_length"),
        parameters=sum(int(tensor.n_elements) for tensor in reader.tensors) / 1e6, vocabulary=len(field("tokenizer.ggml.tokens")), context=field("qwen2.context_length"), tokens=checkpoint["tokens"] / 1e6, evaluation=evaluation(),
    )
    (pathlib.Path(__file__).parent / "CARD.md").write_text(card)


if __name__ == "__main__":
    main()
