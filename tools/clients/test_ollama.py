"""The official Python package of Ollama against a server with the demo model."""

import asyncio
import json
import unittest
import urllib.request

import ollama
import pydantic

from checks import URL, checked

HELLO = [{"role": "user", "content": "hello"}]
COUNT = [{"role": "user", "content": "count to ten"}]
GREEDY = {"temperature": 0}

client = ollama.Client(host=URL)
MODEL = client.list().models[0].model


def weather(town: str, days: int) -> str:
    """The weather of a town.

    Args:
        town: its name
        days: how many
    """


def chat(**fields):
    return client.chat(**{"model": MODEL, "messages": HELLO, "options": GREEDY, **fields})


class Models(unittest.TestCase):
    def test_the_model_is_listed_runs_and_is_described(self):
        (listed,) = checked(client.list()).models
        (running,) = checked(client.ps()).models
        self.assertEqual((listed.model, listed.digest), (running.model, running.digest))
        self.assertEqual(len(listed.digest), 64)
        shown = checked(client.show(MODEL))
        self.assertIn("completion", shown.capabilities)
        self.assertEqual(shown.details.family, shown.modelinfo["general.architecture"])
        self.assertGreater(shown.modelinfo[f"{shown.details.family}.context_length"], 0)

    def test_another_model_is_not_found(self):
        for ask in (lambda: client.show("llama3"), lambda: client.chat(model="llama3", messages=HELLO)):
            with self.assertRaises(ollama.ResponseError) as raised:
                ask()
            self.assertEqual(raised.exception.status_code, 404)
            self.assertIn(MODEL, raised.exception.error)

    def test_the_version_is_one_that_clients_take(self):
        with urllib.request.urlopen(f"{URL}/api/version") as response:
            version = json.load(response)["version"]
        self.assertGreaterEqual([int(part) for part in version.split(".")], [0, 6, 4])

    def test_a_model_that_is_only_to_be_loaded_is(self):
        self.assertEqual(checked(client.generate(model=MODEL)).done_reason, "load")
        self.assertEqual(checked(chat(messages=[])).done_reason, "load")


class Chat(unittest.TestCase):
    def test_an_answer_as_a_whole(self):
        answer = checked(chat())
        self.assertEqual((answer.done, answer.done_reason, answer.message.role), (True, "stop", "assistant"))
        self.assertTrue(answer.message.content)
        self.assertGreaterEqual(answer.total_duration, answer.prompt_eval_duration + answer.eval_duration)
        self.assertGreater(min(answer.prompt_eval_count, answer.eval_count, answer.prompt_eval_duration), 0)

    def test_a_stream_says_the_same(self):
        pieces = [checked(piece) for piece in chat(messages=COUNT, stream=True)]
        whole = chat(messages=COUNT)
        self.assertEqual("".join(piece.message.content for piece in pieces), whole.message.content)
        self.assertGreater(len(pieces), 5)
        self.assertEqual([piece.done for piece in pieces], [False] * (len(pieces) - 1) + [True])
        self.assertEqual(pieces[-1].eval_count, whole.eval_count)

    def test_the_asynchronous_client(self):
        async def ask():
            stream = await ollama.AsyncClient(host=URL).chat(model=MODEL, messages=COUNT, stream=True, options=GREEDY)
            return "".join([checked(piece).message.content async for piece in stream])

        self.assertEqual(asyncio.run(ask()), chat(messages=COUNT).message.content)

    def test_options(self):
        cut = chat(messages=COUNT, options={**GREEDY, "num_predict": 2})
        self.assertEqual((cut.done_reason, cut.eval_count), ("length", 2))
        word = chat(messages=COUNT).message.content.split()[1]
        self.assertNotIn(word, chat(messages=COUNT, options={**GREEDY, "stop": [word]}).message.content)
        seeded = {"temperature": 1.5, "seed": 7}
        self.assertEqual(chat(options=seeded).message.content, chat(options=seeded).message.content)
        loading = {"num_ctx": 8192, "num_thread": 1, "num_gpu": 0, "num_predict": -1, "seed": -1}
        self.assertTrue(chat(options={**GREEDY, **loading}).message.content)

    def test_a_structure_always_holds(self):
        class Person(pydantic.BaseModel):
            name: str = pydantic.Field(max_length=8)
            age: int = pydantic.Field(ge=0, le=150)

        answer = chat(format=Person.model_json_schema())
        self.assertIsInstance(Person.model_validate_json(answer.message.content), Person)

    def test_log_probabilities(self):
        answer = client.chat(model=MODEL, messages=HELLO, options=GREEDY, logprobs=True, top_logprobs=3)
        self.assertEqual("".join(token.token for token in answer.logprobs), answer.message.content)
        self.assertTrue(all(len(token.top_logprobs) == 3 for token in answer.logprobs))

    def test_tools_calls_and_their_results(self):
        answer = checked(chat(tools=[weather]))
        self.assertTrue(answer.message.content or answer.message.tool_calls)
        call = {"function": {"name": "weather", "arguments": {"town": "Ulm", "days": 2}}}
        history = [
            *HELLO,
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "rain", "tool_name": "weather"},
        ]
        self.assertTrue(checked(chat(messages=history, tools=[weather])).done)

    def test_what_is_not_done_is_refused_by_name(self):
        refused = {
            "images": lambda: chat(messages=[{"role": "user", "content": "what is it?", "images": [b"iVBORw0KGgo="]}]),
            "mirostat": lambda: chat(options={"mirostat": 2}),
            "temperature": lambda: chat(options={"temperature": 9}),
            "suffix": lambda: client.generate(model=MODEL, prompt="a", suffix="b"),
            "template": lambda: client.generate(model=MODEL, prompt="a", template="b"),
            "think": lambda: chat(think="high"),
        }
        for name, ask in refused.items():
            with self.subTest(name), self.assertRaises(ollama.ResponseError) as raised:
                ask()
            self.assertEqual(raised.exception.status_code, 400)
            self.assertIn(name, raised.exception.error)


class Generate(unittest.TestCase):
    def test_an_answer_as_a_whole_and_as_a_stream(self):
        whole = checked(client.generate(model=MODEL, prompt="count to ten", options=GREEDY))
        self.assertTrue(whole.response)
        pieces = client.generate(model=MODEL, prompt="count to ten", options=GREEDY, stream=True)
        self.assertEqual("".join(checked(piece).response for piece in pieces), whole.response)
        self.assertEqual(whole.response, chat(messages=COUNT).message.content)

    def test_a_system_message_and_a_raw_prompt(self):
        ruled = client.generate(model=MODEL, prompt="hello", system="Answer in Chinese.", options=GREEDY)
        self.assertTrue(ruled.response)
        raw = "<|im_start|>user\ncount to ten<|im_end|>\n<|im_start|>assistant\n"
        self.assertTrue(client.generate(model=MODEL, prompt=raw, raw=True, options=GREEDY).response)


class Embed(unittest.TestCase):
    def test_texts_become_vectors(self):
        made = checked(client.embed(model=MODEL, input=["hello", "good morning"]))
        self.assertEqual(len(made.embeddings), 2)
        for vector in made.embeddings:
            self.assertAlmostEqual(sum(value * value for value in vector), 1, places=5)
        self.assertEqual(client.embed(model=MODEL, input="hello").embeddings[0], made.embeddings[0])
        self.assertEqual(checked(client.embeddings(model=MODEL, prompt="hello")).embedding, made.embeddings[0])
        self.assertEqual(len(client.embed(model=MODEL, input="hello", dimensions=8).embeddings[0]), 8)

    def test_a_text_that_is_too_long_is_cut_or_refused(self):
        long = "hello " * 20_000
        self.assertTrue(client.embed(model=MODEL, input=long).embeddings)
        with self.assertRaises(ollama.ResponseError) as raised:
            client.embed(model=MODEL, input=long, truncate=False)
        self.assertEqual(raised.exception.status_code, 400)


if __name__ == "__main__":
    unittest.main()
