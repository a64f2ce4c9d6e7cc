"""Pydantic AI by both of OpenAI's interfaces and Ollama's provider, against a server with the demo model."""

import asyncio
import logging
import typing
import unittest

import openai
import pydantic
from pydantic_ai import Agent, NativeOutput, RunContext, ToolOutput
from pydantic_ai.capabilities import AbstractCapability, PrepareOutputTools, PrepareTools
from pydantic_ai.exceptions import ModelHTTPError, ModelNotFoundError
from pydantic_ai.messages import ToolCallPart, ToolReturnPart
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider

from shared import ENDLESS, MODEL, URL, Person, stopped, whole

# These test cases run their loop in debug mode, which tells every slow step.
logging.getLogger("asyncio").setLevel(logging.ERROR)

GREEDY = {"temperature": 0}


def weather(town: typing.Annotated[str, pydantic.Field(max_length=12)], days: typing.Annotated[int, pydantic.Field(ge=1, le=7)]) -> str:
    """The weather of a town in some days."""
    return f"rain in {town}"


def clock() -> str:
    """The time of the day."""
    return "noon"


class Steps(AbstractCapability):
    """Says in each step which tool is to be called."""

    PLAN = {1: ["clock"], 2: ["weather"], 3: "none"}

    def get_model_settings(self):
        return lambda ctx: {"tool_choice": self.PLAN[ctx.run_step]}


class Interface:
    async def asyncSetUp(self):
        client = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
        self.addAsyncCleanup(client.close)
        self.provider = self.provider_kind(openai_client=client)

    def agent(self, **fields):
        return Agent(self.model_kind(MODEL, provider=self.provider), **{"model_settings": GREEDY, **fields})

    async def test_an_answer_as_a_whole(self):
        result = await self.agent().run("count to ten")
        text, usage = whole("count to ten")
        self.assertEqual(result.output, text)
        self.assertEqual((result.usage.input_tokens, result.usage.output_tokens), (usage["prompt_tokens"], usage["completion_tokens"]))

    async def test_a_stream_says_the_same(self):
        async with self.agent().run_stream("count to ten") as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        text, usage = whole("count to ten")
        self.assertEqual(("".join(pieces), result.usage.output_tokens), (text, usage["completion_tokens"]))
        self.assertGreater(len(pieces), 5)

    async def test_a_conversation_goes_on(self):
        first = await self.agent().run("my name is Ada")
        second = await self.agent().run("what is my name?", message_history=first.all_messages())
        self.assertEqual((len(second.all_messages()), bool(second.output)), (4, True))

    async def test_structures_always_hold(self):
        for kind in (NativeOutput(Person), ToolOutput(Person)):
            with self.subTest(kind):
                self.assertIsInstance((await self.agent(output_type=kind).run("hello")).output, Person)

    async def test_a_structure_comes_in_pieces(self):
        agent = self.agent(output_type=NativeOutput(Person))
        async with agent.run_stream("hello") as result:
            persons = [person async for person in result.stream_output(debounce_by=None)]
        self.assertEqual(persons[-1], (await agent.run("hello")).output)

    async def test_an_agent_calls_both_tools_and_ends(self):
        """Each step offers the tools that were not called yet, and after these only the output.

        An answer that is no text makes Pydantic AI demand a call in every step. So in the first step the demo model
        chooses which tool it calls, but not whether. The arguments are its own. Of calls at once it would make hundreds.
        """

        def left(ctx: RunContext, tools):
            return [tool for tool in tools if tool.name not in called(ctx.messages)]

        def at_the_end(ctx: RunContext, tools):
            return tools if len(called(ctx.messages)) == 2 else []

        agent = self.agent(
            tools=[weather, clock],
            output_type=Person,
            capabilities=[PrepareTools(left), PrepareOutputTools(at_the_end)],
            model_settings={**GREEDY, "parallel_tool_calls": False},
        )
        result = await agent.run("hello")
        self.assertIsInstance(result.output, Person)
        self.assertEqual(called(result.all_messages()), {"weather", "clock"})
        returned = [part.content for part in parts(result.all_messages(), ToolReturnPart) if part.tool_name in ("weather", "clock")]
        self.assertEqual(sorted(text.split()[0] for text in returned), ["noon", "rain"])

    async def test_an_agent_calls_tools_by_name_and_ends_with_a_text(self):
        """The first two steps name their tool, and the last one forbids calls. Only arguments and the text are free."""
        result = await self.agent(tools=[weather, clock], capabilities=[Steps()]).run("hello")
        self.assertEqual([part.tool_name for part in parts(result.all_messages(), ToolCallPart)], ["clock", "weather"])
        self.assertEqual((result.usage.requests, bool(result.output)), (3, True))

    async def test_another_model_is_not_there(self):
        with self.assertRaises(ModelNotFoundError) as raised:
            await Agent(self.model_kind("another", provider=self.provider)).run("hello")
        self.assertEqual(raised.exception.status_code, 404)
        self.assertIn(MODEL, str(raised.exception))

    async def test_a_wrong_request_says_what_is_wrong(self):
        with self.assertRaises(ModelHTTPError) as raised:
            await self.agent(model_settings={"temperature": 9}).run("hello")
        self.assertEqual((raised.exception.status_code, raised.exception.body["param"]), (400, "temperature"))


class Chat(Interface, unittest.IsolatedAsyncioTestCase):
    model_kind, provider_kind = OpenAIChatModel, OpenAIProvider

    async def test_a_stream_that_is_left_stops(self):
        with stopped():
            async with self.agent(model_settings=ENDLESS).run_stream("tell me a long story") as result:
                async for _ in result.stream_text(delta=True, debounce_by=None):
                    break

    async def test_a_run_that_is_cancelled_stops(self):
        with stopped():
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(self.agent(model_settings=ENDLESS).run("tell me a long story"), 0.2)


class Responses(Interface, unittest.IsolatedAsyncioTestCase):
    model_kind, provider_kind = OpenAIResponsesModel, OpenAIProvider


class Ollama(Interface, unittest.IsolatedAsyncioTestCase):
    """Pydantic AI asks Ollama by OpenAI's interface."""

    model_kind, provider_kind = OllamaModel, OllamaProvider


class Synchronous(unittest.TestCase):
    def test_an_answer_as_a_whole_and_as_a_stream(self):
        agent = Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key="none")), model_settings=GREEDY)
        self.assertEqual(agent.run_sync("count to ten").output, whole("count to ten")[0])
        with agent.run_stream_sync("count to ten") as result:
            self.assertEqual(result.get_output(), whole("count to ten")[0])


def parts(messages, kind):
    return [part for message in messages for part in message.parts if isinstance(part, kind)]


def called(messages):
    return {part.tool_name for part in parts(messages, ToolCallPart) if part.tool_name in ("weather", "clock")}


if __name__ == "__main__":
    unittest.main()
