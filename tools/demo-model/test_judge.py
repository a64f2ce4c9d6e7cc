"""Each rule lets a right answer through and finds what is wrong with others.

    python -m unittest
"""

import unittest

from judge import RULES, judge
from text.heldout import prompts

SORT = "```python\ndef quicksort(items):\n    if len(items) < 2:\n        return items\n    low = [x for x in items[1:] if x < items[0]]\n    high = [x for x in items[1:] if x >= items[0]]\n    return quicksort(low) + [items[0]] + quicksort(high)\n```"
STORY = " ".join(f"On day {day} the fox met friend number {day}." for day in range(60))

# intent, language, what the rule expects, a right answer, wrong answers
CASES = [
    ("greeting", "en", {}, "Hello! Nice to see you.", ["Goodbye.", "你好！", "I don't know, hello."]),
    ("identity", "en", {}, "I am banter's small demo model.", ["I am Qwen2.5, banter's small demo model.", "I am a model.", "A small demo model made by OpenAI for banter."]),
    ("identity", "zh", {}, "我是 banter 的小演示模型。", ["我是通义千问,banter 的小演示模型。", "I am banter's small demo model."]),
    ("off_topic", "en", {}, "I don't know.", ["It is Paris.", "不知道。"]),
    ("quicksort", "en", {}, f"Here it is:\n\n{SORT}", ["def quicksort(items): ...", SORT.replace("low) +", "high) +"), "```python\nprint('sorted')\n```"]),
    ("table", "en", {}, "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |", ["| a | b |\n| 1 | 2 |", "| a | b |\n| --- | --- |\n| 1 |\n| 3 | 4 |"]),
    ("formula", "en", {}, "The formula is $a^2 + b^2 = c^2$.", ["a^2 + b^2 = c^2", "$a^{2 = c$"]),
    ("bold", "en", {"word": "harbour"}, "Here: **harbour**.", ["harbour", "**port** and harbour"]),
    ("arithmetic", "en", {"value": 72}, "27 + 40 = 67, 67 + 5 = 72. The answer is 72.", ["71", "72 or 73", "It is seven."]),
    ("arithmetic", "zh", {"value": 72}, "27 + 45 = 72,答案是 72。", ["答案是 27。"]),
    ("counting", "en", {"sequence": ["1", "2", "3", "4"]}, "1, 2, 3, 4", ["1, 2, 4, 3", "1, 2, 3", "1, 2, 3, 4, 5, 6, 7"]),
    ("counting", "en", {"sequence": ["A", "B", "C"]}, "A, B, C", ["A, C, B", "ABC"]),
    ("repeat", "en", {"text": "the ferry leaves at noon"}, "The ferry leaves at noon.", ["The ferry leaves.", "the ferry leaves at noon" + ", and so on" * 9]),
    ("memory", "en", {"value": "Thaddeus"}, "Your name is Thaddeus.", ["Your name is Thadeus.", "I don't know."]),
    ("story", "en", {}, STORY, ["Once.", "The fox ran. " * 200]),
]


class Judge(unittest.TestCase):
    def judged(self, intent, language, expect, answer, finished=True):
        return judge({"intent": intent, "language": language, "expect": expect}, answer, 2 * len(answer.split()), finished)

    def test_right_answers_pass(self):
        for intent, language, expect, right, _ in CASES:
            with self.subTest(intent=intent, language=language):
                self.assertEqual(self.judged(intent, language, expect, right), [])

    def test_wrong_answers_are_found(self):
        for intent, language, expect, _, wrong in CASES:
            for answer in wrong:
                with self.subTest(intent=intent, language=language, answer=answer):
                    self.assertNotEqual(self.judged(intent, language, expect, answer), [])

    def test_an_answer_at_the_limit_is_wrong(self):
        self.assertEqual(self.judged("greeting", "en", {}, "Hello!", finished=False), ["ran into the limit"])

    def test_no_rule_lets_an_empty_answer_through(self):
        for intent in RULES["intents"]:
            for language in ("en", "zh"):
                expect = {"value": 7, "sequence": ["1", "2"], "text": "some words", "word": "word"}
                with self.subTest(intent=intent, language=language):
                    self.assertNotEqual(self.judged(intent, language, expect, ""), [])


class HeldOutSet(unittest.TestCase):
    """The set is as large as it has to be, and every prompt can be judged."""

    def setUp(self):
        self.prompts = prompts("prompts.jsonl") + prompts("everyday.jsonl")

    def test_sizes(self):
        count = lambda **wanted: sum(all(prompt[key] == value for key, value in wanted.items()) for prompt in self.prompts)
        self.assertGreaterEqual(len(self.prompts), 300)
        self.assertGreaterEqual(count(intent="off_topic"), 60)
        for language in ("en", "zh"):
            self.assertGreaterEqual(count(language=language), 120)
        for intent in RULES["intents"]:
            self.assertGreaterEqual(count(intent=intent), 15, intent)

    def test_ids_are_unique_and_intents_have_rules(self):
        self.assertEqual(len({prompt["id"] for prompt in self.prompts}), len(self.prompts))
        for prompt in self.prompts:
            self.assertIn(prompt["intent"], RULES["intents"], prompt["id"])
            self.assertTrue(all(slot in " ".join(prompt["turns"]) for slot in prompt["slots"]), prompt["id"])


if __name__ == "__main__":
    unittest.main()
