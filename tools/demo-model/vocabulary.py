"""The demo model's vocabulary: byte-level BPE with Qwen2's pre-tokeniser, trained on the generated text.

    python vocabulary.py          # writes vocabulary.json; every checkpoint depends on it
"""

import json
import pathlib

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SIZE = 4096
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PATH = pathlib.Path(__file__).parent / "vocabulary.json"
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class Vocabulary:
    """Text to ids and back, and conversations to training rows."""

    def __init__(self, path: pathlib.Path = PATH):
        data = json.loads(path.read_text())
        self.tokens, self.merges = data["tokens"], [tuple(pair) for pair in data["merges"]]
        ordinary = {token: index for index, token in enumerate(self.tokens[: -len(CONTROL)])}
        self.tokenizer = _tokenizer(models.BPE(vocab=ordinary, merges=self.merges))
        self.pad, self.start, self.end = range(len(self.tokens) - len(CONTROL), len(self.tokens))
        self.newline = self.encode("\n")

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Ids of content; never a control token."""
        return self.tokenizer.encode(text).ids

    def decode(self, ids: list[int]) -> str:
        """Text of ids, control tokens left out."""
        return self.tokenizer.decode([index for index in ids if index < self.pad])

    def prompt(self, messages: list[dict]) -> list[int]:
        """A conversation up to where the assistant's next answer begins."""
        ids = []
        for message in messages:
            ids += [self.start, *self.encode(message["role"] + "\n" + message["content"]), self.end, *self.newline]
        return [*ids, self.start, *self.encode("assistant\n")]

    def training_row(self, messages: list[dict]) -> tuple[list[int], list[bool]]:
        """Ids of a conversation, and which of them the model is to predict: what the assistant says, and its end."""
        ids, learnt = [], []
        for message in messages:
            head = [self.start, *self.encode(message["role"] + "\n")]
            body = [*self.encode(message["content"]), self.end]
            ids += head + body + self.newline
            learnt += [False] * len(head) + [message["role"] == "assistant"] * len(body) + [False] * len(self.newline)
        return ids, learnt


def _tokenizer(model):
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(texts) -> dict:
    """Trains a vocabulary: all bytes, then the merges in order, then the control tokens."""
    tokenizer = _tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=SIZE - len(CONTROL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    assert len(tokens) == SIZE - len(CONTROL), len(tokens)
    return {"tokens": tokens + CONTROL, "merges": model["merges"]}


def _pieces(text, rng):
    """Cuts Chinese after every second character or so: whole phrases as tokens would leave nothing to learn about the words in them."""
    cut = ""
    for char in text:
        cut += char
        if "\u4e00" <= char <= "\u9fff" and rng.random() < 0.6:
            yield cut
            cut = ""
    yield cut


def main():
    from text.conversation import Writer
    from text.heldout import HeldOut

    writer = Writer(seed=0, held_out=HeldOut())
    texts = [piece for _ in range(30_000) for m in writer.conversation() for piece in _pieces(m["role"] + "\n" + m["content"], writer.rng)]
    PATH.write_text(json.dumps(train(texts), ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
