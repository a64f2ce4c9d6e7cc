"""Judges answers by the rules in `heldout/rules.json`. Each check returns what is wrong, or nothing."""

import functools
import json
import pathlib
import random
import re
import subprocess
import sys

RULES = json.loads((pathlib.Path(__file__).parent / "heldout" / "rules.json").read_text())
MAY_REFUSE = {"off_topic", "live_data"}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SORT_TEST = """
import random
functions = [f for f in list(globals().values()) if callable(f) and getattr(f, "__module__", "") == "__main__"]
def sorts(function):
    for case in ([], [1], [3, 1, 2], [5, 5, 1, 5], [-3, 7, 0, -3, 12], list(range(20, 0, -1)), [random.randrange(100) for _ in range(50)]):
        items = list(case)
        try:
            result = function(items)
        except TypeError:
            return False
        if (items if result is None else list(result)) != sorted(case):
            return False
    return True
raise SystemExit(0 if any(sorts(f) for f in functions) else 1)
"""


def refused(answer: str) -> bool:
    """Whether an answer says that it does not know."""
    low = answer.lower().replace("’", "'")
    return any(word.lower() in low for words in RULES["refusal"].values() for word in words)


def judge(prompt: dict, answer: str, tokens: int, finished: bool) -> list[str]:
    """Everything that is wrong with an answer; an empty list is right."""
    rule, expect = RULES["intents"][prompt["intent"]], prompt.get("expect", {})
    faults = [] if finished else ["ran into the limit"]
    faults += _words(rule, prompt["language"], answer)
    if "refusal" in rule and refused(answer) != rule["refusal"]:
        faults.append("refused" if refused(answer) else "does not say that it doesn't know")
    for key, check in CHECKS.items():
        if key in rule and (fault := check(rule[key], expect, answer)):
            faults.append(fault)
    if tokens < rule.get("min_tokens", 0):
        faults.append(f"{tokens} tokens")
    return faults


def _words(rule, language, answer):
    faults = []
    found = lambda pattern: re.search(pattern, answer.replace("’", "'"), re.IGNORECASE)
    if rule.get("language") and bool(CHINESE.search(answer)) != (language == "zh"):
        faults.append("wrong language")
    if "any" in rule and not any(map(found, rule["any"][language])):
        faults.append("none of the words")
    faults += [f"lacks {pattern}" for pattern in rule.get("all", {}).get(language, []) if not found(pattern)]
    faults += [f"says {pattern}" for pattern in rule.get("never", {}).get(language, []) if found(pattern)]
    if "at_least" in rule and sum(bool(found(p)) for p in rule["at_least"][language]) < rule["at_least"]["count"]:
        faults.append("names too few")
    return faults


def _lines(count, _, answer):
    lines = [line for line in answer.splitlines() if line.strip()]
    return None if len(lines) >= count else f"{len(lines)} lines"


@functools.lru_cache(maxsize=None)
def _sorts(code):
    program = subprocess.run([sys.executable, "-I", "-c", code + SORT_TEST], capture_output=True, timeout=20)
    return program.returncode == 0


def _program(_, __, answer):
    block = re.search(r"```(?:python|py)?\n(.*?)```", answer, re.DOTALL)
    if not block:
        return "no fenced block"
    try:
        return None if _sorts(block.group(1)) else "does not sort"
    except subprocess.TimeoutExpired:
        return "does not end"


def _table(_, __, answer):
    rows = [line.strip() for line in answer.splitlines() if line.strip().startswith("|")]
    if len(rows) < 4 or not re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", rows[1]):
        return "no table"
    return None if len({row.count("|") for row in rows}) == 1 else "rows differ in width"


def _formula(_, __, answer):
    for text in re.findall(r"\$\$?([^$]+)\$\$?", answer):
        if "=" in text and text.count("{") == text.count("}"):
            return None
    return "no formula"


def _items(count, _, answer):
    items = re.findall(r"^\s*(?:[-*]|\d+\.)\s+\S", answer, re.MULTILINE)
    return None if len(items) >= count else f"{len(items)} items"


def _bold(_, expect, answer):
    strong = re.findall(r"\*\*([^*\n]+)\*\*", answer)
    if "word" in expect:
        return None if any(expect["word"].lower() == text.strip().lower() for text in strong) else "the word is not bold"
    return None if strong else "nothing is bold"


def _arithmetic(_, expect, answer):
    numbers = re.findall(r"(?<![\w.])-?\d+", answer)
    return None if numbers and int(numbers[-1]) == expect["value"] else "wrong number"


def _sequence(_, expect, answer):
    wanted = expect["sequence"]
    pattern = r"\d+" if wanted[0].isdigit() else r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])"
    said = [item.upper() for item in re.findall(pattern, answer)]
    inside = any(said[at : at + len(wanted)] == wanted for at in range(len(said)))
    return None if inside and len(said) <= len(wanted) + 2 else "wrong sequence"


def _repeat(_, expect, answer):
    text, low = expect["text"].lower(), answer.lower()
    return None if text in low and len(answer) <= len(text) + 40 else "not repeated"


def _value(_, expect, answer):
    return None if str(expect["value"]).lower() in answer.lower() else "not remembered"


def _word(_, expect, answer):
    return None if expect["word"].lower() in answer.lower() else "other season"


def _distinct(part, _, answer):
    sentences = [text.strip() for text in re.split(r"[.!?。!?！？\n]+", answer) if text.strip()]
    return None if sentences and len(set(sentences)) >= part * len(sentences) else "repeats itself"


CHECKS = {"min_lines": _lines, "program": _program, "table": _table, "formula": _formula, "min_items": _items, "bold": _bold, "arithmetic": _arithmetic,
          "sequence": _sequence, "repeat": _repeat, "value": _value, "word": _word, "min_distinct_sentences": _distinct}
