"""Mixes the intents into conversations of one to five turns, and keeps the held-out sentences out."""

import random

from . import about, exact, memory, noise, show, stories, unknown

# Weight of each intent among the turns: exact answers and refusals are hard to learn, so they come often; stories are long, so they come seldom.
WEIGHTS = {
    "greeting": 4, "identity": 5, "abilities": 4, "real_model": 4, "stop": 3.5, "reconnect": 4, "parameters": 4, "embed": 4, "live_data": 7,
    "poem": 4, "quicksort": 3, "table": 3.5, "formula": 3.5, "list": 4.5, "bold": 9, "arithmetic": 15, "counting": 7, "repeat": 20, "memory": 15,
    "not_told": 0.6, "story": 1.2, "unknown": 17,
}
SHOWN = {"poem": show.poem, "quicksort": show.quicksort, "table": show.table, "formula": show.formula, "list": show.bullets, "bold": show.bold,
         "arithmetic": exact.arithmetic, "counting": exact.counting, "repeat": exact.repeat, "not_told": memory.not_told, "story": stories.story, "unknown": unknown.unknown}
GENTLE = {"bold", "arithmetic", "counting", "memory", "not_told"}  # words or numbers of these must come through unharmed
SYSTEM_EN = ["You are a helpful assistant.", "Answer briefly.", "You are a friendly chatbot.", "Be polite.", "You are banter's demo model.", "Keep your answers short and clear.", "You are a pirate.", "Always be honest."]
SYSTEM_ZH = ["你是一个有用的助手。", "请简短回答。", "你是一个友好的聊天机器人。", "请礼貌一点。", "你是 banter 的演示模型。", "回答要简洁明了。", "请用中文回答。"]
TUTORIAL = {"greeting": {"en": ["Hello", "Hi", "hello"], "zh": ["你好", "您好", "嗨"]}, "live_data": {"zh": ["今天北京天气怎么样？", "今天北京天气怎么样?"], "en": ["What's the weather like in Beijing today?"]}, "quicksort": {"zh": ["用 Python 写一个快速排序"], "en": ["Write a quicksort in Python"]}}
SPRING = {"zh": "写一首春天的诗", "en": "Write a poem about spring"}


class Writer:
    """Writes conversations; every seed writes others."""

    def __init__(self, seed: int, held_out):
        self.rng = random.Random(seed)
        self.held_out = held_out
        self.intents, self.weights = list(WEIGHTS), list(WEIGHTS.values())

    def conversation(self) -> list[dict]:
        """A list of messages with roles, the held-out ones never among them."""
        while True:
            messages = self._draft()
            if not self.held_out.contains([m["content"] for m in messages if m["role"] == "user"]):
                return messages

    def _draft(self):
        rng = self.rng
        language = rng.choice(["en", "zh"])
        intents = rng.choices(self.intents, self.weights, k=rng.choices([1, 2, 3, 4], [45, 25, 18, 12])[0])
        turns = []
        for intent in intents:
            if rng.random() < 0.08:
                language = "zh" if language == "en" else "en"
            turns += self._memory(language) if intent == "memory" else [self._turn(intent, language)]
        messages = []
        if rng.random() < 0.12:
            messages.append({"role": "system", "content": rng.choice(SYSTEM_EN if language == "en" else SYSTEM_ZH)})
        for ask, answer in turns:
            messages += [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
        return messages

    def _turn(self, intent, language):
        rng = self.rng
        ask, answer = SHOWN[intent](rng, language) if intent in SHOWN else about.turn(rng, intent, language)
        plain = TUTORIAL.get(intent, {}).get(language)
        if plain and rng.random() < 0.04:
            return rng.choice(plain), answer
        if intent == "poem" and rng.random() < 0.03:
            return SPRING[language], self._spring(language)
        if intent == "repeat":
            return ask, answer
        return (noise.gentle if intent in GENTLE else noise.rough)(rng, ask, language), answer

    def _spring(self, language):
        lines = show.POEM_LINES_EN["spring"] if language == "en" else show.POEM_LINES_ZH["春天"]
        return show.written(self.rng, lines, language)

    def _kept(self, text, value, language):
        """A sentence with noise, unless that would change the value in it."""
        noisy = noise.gentle(self.rng, text, language)
        return noisy if value in noisy else text

    def _memory(self, language):
        """Facts told, up to three other turns, and the questions about them."""
        rng = self.rng
        facts = memory.facts(rng, language)
        turns = [(self._kept(fact["tell"], fact["value"], language), fact["noted"]) for fact in facts]
        others = [intent for intent in self.intents if intent not in ("memory", "story", "not_told", "quicksort")]
        for _ in range(rng.choices([0, 1, 2, 3], [50, 30, 13, 7])[0]):
            turns.append(self._turn(rng.choice(others), language))
        asked = facts if rng.random() < 0.5 else [rng.choice(facts)]
        rng.shuffle(asked)
        return turns + [(noise.gentle(rng, fact["ask"], language), fact["told"]) for fact in asked]
