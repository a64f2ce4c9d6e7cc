"""Renders conversations with tools with Python's jinja2, as conversations.py does others.

Writes tool_conversations.json beside this file: the cases, and what each template makes of each, in
full; null where a template refuses it. The Rust tests render the same cases and compare bytes.

Run: python tool_conversations.py   (needs jinja2)
"""

import json
import random

from conversations import HERE, QWEN, compiled, special_tokens
from jinja2.exceptions import TemplateError

CASES = 60
TEXTS = ["", "hello", "今天北京天气怎么样？", 'it\'s "quoted" \\ back\n', "é\u2028\t", "{{ tools }}", "<tool_call>", "a/b & <c>"]
NAMES = ["weather", "get_time", "搜索", "search-the web"]
VALUES = [None, True, False, 0, -7, 1.5, 2.0, 1e-7, 12345678901234567, "text", "北京", "\"\\\n\u0001", [], {}, [1, [2, {"a": None}]]]


def schema(draw, depth=0):
    kind = draw.choice(["string", "integer", "array", "object"] if depth < 4 else ["string", "boolean"])
    made = {"type": kind}
    if draw.random() < 0.4:
        made["description"] = draw.choice(TEXTS)
    if kind == "array":
        made["items"] = schema(draw, depth + 1)
    if kind == "object":
        made["properties"] = {draw.choice(NAMES): schema(draw, depth + 1) for _ in range(draw.randrange(3))}
        made["required"] = list(made["properties"])
        made["additionalProperties"] = False
    return made


def tool(draw):
    function = {"name": draw.choice(NAMES), "description": draw.choice(TEXTS), "parameters": schema(draw)}
    return {"type": "function", "function": function}


def call(draw):
    arguments = {draw.choice(NAMES): draw.choice(VALUES) for _ in range(draw.randrange(3))}
    return {"type": "function", "function": {"name": draw.choice(NAMES), "arguments": arguments}}


def messages(draw):
    made = [{"role": "system", "content": draw.choice(TEXTS)}] if draw.random() < 0.5 else []
    for _ in range(draw.randrange(4)):
        calls = [call(draw) for _ in range(draw.randrange(3))]
        made += [{"role": "user", "content": draw.choice(TEXTS)}, {"role": "assistant", "content": draw.choice(TEXTS)}]
        if calls:
            made[-1]["tool_calls"] = calls
        made += [{"role": "tool", "content": draw.choice(TEXTS)} for _ in calls]
    return made + [{"role": "user", "content": draw.choice(TEXTS)}]


def render(template, name, case):
    values = {"messages": case["messages"], "tools": case["tools"] or None, "documents": None} | case["options"]
    try:
        return template.render(add_generation_prompt=True, **values, **special_tokens(name))
    except TemplateError:
        return None


def main():
    draw = random.Random(3)
    cases = []
    for _ in range(CASES):
        tools = [tool(draw) for _ in range(draw.randrange(4))]
        options = draw.choice([{}, {}, {"enable_thinking": draw.choice([True, False])}, {"name": draw.choice(TEXTS)}])
        cases.append({"messages": messages(draw), "tools": tools, "options": options})
    sources = {"qwen2.5": json.loads(QWEN.read_text())["chat_template"]}
    sources |= {path.stem: path.read_text() for path in sorted((HERE / "templates").glob("*.jinja"))}
    rendered = {name: [render(compiled(source), name, case) for case in cases] for name, source in sources.items()}
    written = json.dumps({"cases": cases, "templates": rendered}, ensure_ascii=False, indent=1)
    (HERE / "tool_conversations.json").write_text(written + "\n")
    print({name: sum(text is None for text in texts) for name, texts in rendered.items()}, "refused")


if __name__ == "__main__":
    main()
