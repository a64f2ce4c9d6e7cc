"""LangChain by its packages for OpenAI, Anthropic and Ollama, against a server with the demo model."""

import asyncio
import typing
import unittest

import anthropic
import ollama
import openai
import pydantic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI, OpenAI

from shared import ENDLESS, MODEL, URL, Person, stopped, whole

# The package for OpenAI keeps its connections for all models, so all must have the same loop.
loop = asyncio.Runner()


@tool
def weather(town: typing.Annotated[str, pydantic.Field(max_length=12)], days: typing.Annotated[int, pydantic.Field(ge=1, le=7)]) -> str:
    """The weather of a town in some days."""
    return f"rain in {town}"


@tool
def clock() -> str:
    """The time of the day."""
    return "noon"


class Interface:
    """What is the same by each package."""

    not_found = wrong = None

    def test_an_answer_as_a_whole(self):
        answer = self.model().invoke("count to ten")
        text, usage = whole("count to ten")
        self.assertEqual(answer.text, text)
        self.assertEqual(answer.usage_metadata["output_tokens"], usage["completion_tokens"])
        self.assertEqual(answer.usage_metadata["input_tokens"], usage["prompt_tokens"])

    def test_a_stream_says_the_same(self):
        chunks = list(self.model().stream("count to ten"))
        text, usage = whole("count to ten")
        self.assertEqual("".join(chunk.text for chunk in chunks), text)
        self.assertGreater(len(chunks), 5)
        added = chunks[0]
        for chunk in chunks[1:]:
            added += chunk
        self.assertEqual(added.usage_metadata["output_tokens"], usage["completion_tokens"])

    def test_the_asynchronous_client(self):
        async def both():
            model = self.model()
            answer = await model.ainvoke("count to ten")
            return answer.text, "".join([chunk.text async for chunk in model.astream("count to ten")])

        self.assertEqual(loop.run(both()), (whole("count to ten")[0],) * 2)

    def test_several_questions_at_once(self):
        answers = self.model().batch(["count to ten", "hello"])
        self.assertEqual([answer.text for answer in answers], [whole("count to ten")[0], whole("hello")[0]])

    def test_structures_always_hold(self):
        for method in self.methods:
            with self.subTest(method):
                self.assertIsInstance(self.model().with_structured_output(Person, method=method).invoke("hello"), Person)

    def test_another_model_is_not_there(self):
        with self.assertRaises(self.not_found) as raised:
            self.model(model="another").invoke("hello")
        self.assertIn(MODEL, str(raised.exception))

    def test_a_wrong_request_says_what_is_wrong(self):
        with self.assertRaises(self.wrong) as raised:
            self.model(temperature=9).invoke("hello")
        self.assertIn("temperature", str(raised.exception))


class Forced:
    """Calls that are demanded, which Ollama's interface does not know."""

    def test_calls_that_are_demanded_come_and_their_results_go_back(self):
        model = self.model()
        answer = model.bind_tools([weather, clock], tool_choice="weather").invoke("hello")
        (call,) = answer.tool_calls
        self.assertEqual(call["name"], "weather")
        result = weather.invoke(call)
        self.assertIsInstance(result, ToolMessage)
        after = model.bind_tools([weather, clock]).invoke(["hello", answer, result])
        self.assertTrue(after.text or after.tool_calls)

    def test_a_call_comes_in_pieces(self):
        chunks = list(self.model().bind_tools([clock, weather], tool_choice="weather").stream("hello"))
        added = chunks[0]
        for chunk in chunks[1:]:
            added += chunk
        (call,) = added.tool_calls
        self.assertTrue(call["name"] == "weather" and 1 <= call["args"]["days"] <= 7)
        self.assertGreater(len(chunks), 3)

    def test_some_call_comes(self):
        (call,) = self.model().bind_tools([weather, clock], tool_choice="any", parallel_tool_calls=False).invoke("hello").tool_calls
        self.assertIn(call["name"], ("weather", "clock"))


class OpenAi(Interface, Forced, unittest.TestCase):
    not_found, wrong = openai.NotFoundError, openai.BadRequestError
    methods = ("json_schema", "function_calling")

    def model(self, **fields):
        usual = {"model": MODEL, "base_url": f"{URL}/v1", "api_key": "none", "max_retries": 0, "temperature": 0, "stream_usage": True}
        return ChatOpenAI(**{**usual, **fields})

    def test_a_stream_that_is_left_stops(self):
        with stopped():
            stream = self.model(**ENDLESS).stream("tell me a long story")
            next(stream)
            stream.close()

    def test_log_probabilities(self):
        answer = self.model(logprobs=True, top_logprobs=2).invoke("hello")
        self.assertEqual("".join(token["token"] for token in answer.response_metadata["logprobs"]["content"]), answer.text)

    def test_texts_are_continued(self):
        model = OpenAI(model=MODEL, base_url=f"{URL}/v1", api_key="none", temperature=0, max_tokens=8)
        self.assertEqual("".join(model.stream("Once upon a time")), model.invoke("Once upon a time"))


class OpenAiResponses(Interface, Forced, unittest.TestCase):
    not_found, wrong = openai.NotFoundError, openai.BadRequestError
    methods = ("json_schema", "function_calling")

    def model(self, **fields):
        usual = {"model": MODEL, "base_url": f"{URL}/v1", "api_key": "none", "max_retries": 0, "temperature": 0, "use_responses_api": True}
        return ChatOpenAI(**{**usual, **fields})


class Anthropic(Interface, Forced, unittest.TestCase):
    not_found, wrong = anthropic.NotFoundError, anthropic.BadRequestError
    methods = ("function_calling",)

    def model(self, **fields):
        return ChatAnthropic(**{"model": MODEL, "base_url": URL, "api_key": "none", "max_retries": 0, "max_tokens": 500, "temperature": 0, **fields})

    def test_a_schema_always_holds(self):
        """The package moves limits such as `maxLength` into descriptions, so the demo model would never end a name."""

        class Choice(pydantic.BaseModel):
            yes: bool
            mood: typing.Literal["good", "bad"]

        self.assertIsInstance(self.model().with_structured_output(Choice, method="json_schema").invoke("hello"), Choice)


class Ollama(Interface, unittest.TestCase):
    not_found = wrong = ollama.ResponseError
    methods = ("json_schema",)

    def model(self, **fields):
        return ChatOllama(**{"model": MODEL, "base_url": URL, "temperature": 0, **fields})

    def test_a_missing_model_is_noticed_at_once(self):
        self.assertTrue(self.model(validate_model_on_init=True))
        with self.assertRaises(ValueError):
            self.model(model="another", validate_model_on_init=True)


def tearDownModule():
    loop.close()


if __name__ == "__main__":
    unittest.main()
