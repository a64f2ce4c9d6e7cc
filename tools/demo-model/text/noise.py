"""How people really type: politeness, missing punctuation, capitals, slips of the finger.

Only what a user says passes through here, and never the part an answer has to repeat exactly.
"""

import random

BEFORE_EN = ["please", "hey,", "hi,", "hello,", "ok,", "okay so", "so", "well,", "um,", "quick question:", "excuse me,", "sorry,", "now", "and",
             "hey banter,", "banter,", "just", "one more thing:", "I wonder,", "tell me,", "listen,", "alright,", "Hi!", "Hello.", "thanks!", "cool.",
             "next:", "another question:", "actually,", "by the way,", "you know what,", "for a test,", "dear model,", "friend,"]
AFTER_EN = ["please", "thanks", "thank you", "for me", "pls", "plz", "if you can", "would you", "if you please", "now", "then", "right now", "today",
            "my friend", "banter", "ok?", "thx", "if possible", "real quick", "again", "will you", "when you have a moment", "I'm curious", "help!",
            "if you don't mind", "by any chance", "cheers"]
BEFORE_ZH = ["请", "请问", "麻烦", "那个,", "嗯,", "喂,", "你好,", "嗨,", "那么,", "对了,", "话说,", "想问一下,", "我想问,", "请教一下,", "劳驾,", "不好意思,",
             "banter,", "好的,", "顺便问一下,", "好奇,", "帮个忙,", "现在", "请你", "麻烦你", "能不能", "可以", "你能", "我想知道", "问一下", "朋友,", "小家伙,", "哎,", "谢谢!", "接下来,"]
AFTER_ZH = ["谢谢", "吧", "呢", "呀", "啊", "吗", "好吗", "可以吗", "行吗", "谢谢你", "拜托了", "一下", "哈", "嘛", "哦", "多谢", "好不好", "给我看看", "呗", "啦", "我很好奇", "帮帮我", "来着", "谢啦", "求助"]
KEYS = {"a": "s", "b": "v", "c": "x", "d": "f", "e": "r", "g": "h", "i": "o", "l": "k", "m": "n", "o": "p", "r": "t", "s": "a", "t": "y", "u": "i", "n": "m"}


def rough(rng: random.Random, text: str, language: str) -> str:
    """A sentence as somebody might type it. Digits are never touched."""
    text = _polite(rng, text, language)
    if language == "en":
        return _rough_en(rng, text)
    return _rough_zh(rng, text)


def gentle(rng: random.Random, text: str, language: str) -> str:
    """Capitals and end punctuation only: for sentences whose words matter."""
    if language == "en":
        return _punctuate_en(rng, _case(rng, text))
    return _punctuate_zh(rng, text)


def _polite(rng, text, language):
    before, after = (BEFORE_EN, AFTER_EN) if language == "en" else (BEFORE_ZH, AFTER_ZH)
    space = " " if language == "en" else ""
    mark = text[-1] if text and text[-1] in "?!.？！。" else ""
    core = text[: len(text) - len(mark)]
    if rng.random() < 0.25:
        core = rng.choice(before) + space + core
    if rng.random() < 0.2:
        core += rng.choice([space, "," + space] if language == "en" else ["", ",", " "]) + rng.choice(after)
    return core + mark


def _rough_en(rng, text):
    words = text.split(" ")
    if len(words) > 4 and rng.random() < 0.08:
        del words[rng.randrange(len(words))]
    if len(words) > 4 and rng.random() < 0.04:
        at = rng.randrange(len(words) - 1)
        words[at], words[at + 1] = words[at + 1], words[at]
    if rng.random() < 0.12:
        at = rng.randrange(len(words))
        words[at] = _slip(rng, words[at])
    return _punctuate_en(rng, _case(rng, " ".join(words)))


def _slip(rng, word):
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at] + word[at:]
    if kind == 2:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + KEYS.get(word[at], word[at]) + word[at + 1 :]


def _case(rng, text):
    roll = rng.random()
    if roll < 0.35:
        return text.lower()
    if roll < 0.37:
        return text.upper()
    return text[:1].upper() + text[1:]


def _punctuate_en(rng, text):
    mark = text[-1:] if text[-1:] in "?!." else ""
    core = text[: len(text) - len(mark)]
    roll = rng.random()
    if roll < 0.4:
        return core
    if roll < 0.5:
        return core + rng.choice(["!", "...", " ?", "??", ".", "!!", " :)"])
    return core + (mark or rng.choice([".", "?", "!", ""]))


def _rough_zh(rng, text):
    if len(text) > 6 and rng.random() < 0.06:
        at = rng.randrange(len(text))
        if not text[at].isdigit():
            text = text[:at] + text[at + 1 :]
    return _punctuate_zh(rng, text)


def _punctuate_zh(rng, text):
    mark = text[-1:] if text[-1:] in "?!.？！。" else ""
    core = text[: len(text) - len(mark)]
    if rng.random() < 0.5:
        core = core.replace(",", "，")
    elif rng.random() < 0.2:
        core = core.replace(",", " ")
    roll = rng.random()
    if roll < 0.4:
        return core
    if roll < 0.5:
        return core + rng.choice(["～", "!!", "...", "……", "??", "~", "。"])
    return core + (mark or rng.choice(["。", "？", "！", "", "?", "!"]))
