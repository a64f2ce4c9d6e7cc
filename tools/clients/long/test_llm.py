"""The command and package `llm`, which is told the server in its file of further models, with the demo model."""

import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

import openai

from shared import ENDLESS, MODEL, URL, Person, stopped, whole

folder = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = folder.name
CAPABLE = {"model_name": MODEL, "api_base": f"{URL}/v1", "supports_schema": True, "supports_tools": True}
MODELS = [
    {"model_id": "chat", **CAPABLE},
    {"model_id": "responses", "responses": True, **CAPABLE},
    {"model_id": "completion", "model_name": MODEL, "api_base": f"{URL}/v1", "completion": True},
    {"model_id": "absent", "model_name": "another", "api_base": f"{URL}/v1"},
]
# JSON is YAML as well.
pathlib.Path(folder.name, "extra-openai-models.yaml").write_text(json.dumps(MODELS))

import llm


def tearDownModule():
    folder.cleanup()


def command(*arguments):
    run = subprocess.run([sys.executable, "-m", "llm", *arguments], capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout.strip(), run.stderr


class Package(unittest.TestCase):
    def test_an_answer_as_a_whole_and_as_a_stream(self):
        text, usage = whole("count to ten")
        for name in ("chat", "responses"):
            with self.subTest(name):
                answer = llm.get_model(name).prompt("count to ten", temperature=0, stream=False)
                self.assertEqual((answer.text(), answer.usage().output), (text, usage["completion_tokens"]))
                stream = llm.get_model(name).prompt("count to ten", temperature=0)
                pieces = list(stream)
                self.assertEqual(("".join(pieces), stream.usage().output), (text, usage["completion_tokens"]))
                self.assertGreater(len(pieces), 5)

    def test_the_asynchronous_client(self):
        async def ask():
            return await llm.get_async_model("chat").prompt("count to ten", temperature=0).text()

        self.assertEqual(asyncio.run(ask()), whole("count to ten")[0])

    def test_a_conversation_goes_on(self):
        conversation = llm.get_model("chat").conversation()
        self.assertTrue(conversation.prompt("my name is Ada", temperature=0).text())
        self.assertTrue(conversation.prompt("what is my name?", temperature=0).text())

    def test_texts_are_continued(self):
        self.assertTrue(llm.get_model("completion").prompt("Once upon a time", temperature=0, max_tokens=8).text())

    def test_structures_always_hold(self):
        for name in ("chat", "responses"):
            with self.subTest(name):
                answer = llm.get_model(name).prompt("hello", schema=Person, temperature=0).text()
                self.assertIsInstance(Person.model_validate_json(answer), Person)

    def test_tools_may_be_offered(self):
        """The package cannot demand a call, and the demo model makes none by itself."""

        def clock() -> str:
            """The time of the day."""
            return "noon"

        for name in ("chat", "responses"):
            with self.subTest(name):
                self.assertTrue(llm.get_model(name).chain("hello", tools=[clock], options={"temperature": 0}).text())

    def test_another_model_is_not_there(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            llm.get_model("absent").prompt("hello").text()
        self.assertIn(MODEL, str(raised.exception))


class Command(unittest.TestCase):
    def test_an_answer_and_its_continuation(self):
        self.assertEqual(command("-m", "chat", "-o", "temperature", "0", "count to ten")[:2], (0, whole("count to ten")[0]))
        status, text, _ = command("-c", "and on")
        self.assertEqual((status, bool(text)), (0, True))

    def test_a_schema(self):
        status, text, _ = command("-m", "chat", "-o", "temperature", "0", "--schema", json.dumps(Person.model_json_schema()), "hello")
        self.assertEqual((status, type(Person.model_validate_json(text))), (0, Person))

    def test_a_command_that_is_interrupted_stops(self):
        options = [text for name, value in ENDLESS.items() for text in ("-o", name, json.dumps(value))]
        with stopped(), subprocess.Popen(
            [sys.executable, "-m", "llm", "-m", "chat", *options, "tell me a long story"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as run:
            self.assertTrue(run.stdout.read(1))
            run.send_signal(signal.SIGINT)

    def test_an_error_is_told(self):
        status, _, error = command("-m", "absent", "hello")
        self.assertEqual((status, MODEL in error), (1, True))


if __name__ == "__main__":
    unittest.main()
