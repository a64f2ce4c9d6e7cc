"""LlamaIndex with its class for interfaces like OpenAI's, against a server with the demo model."""

import asyncio
import unittest

import openai
import pydantic
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from shared import ENDLESS, MODEL, URL, Person, stopped, whole

COUNT = [ChatMessage("count to ten")]


def model(**fields):
    usual = {"model": MODEL, "api_base": f"{URL}/v1", "api_key": "none", "max_retries": 0, "temperature": 0, "context_window": 2048}
    return OpenAILike(**{**usual, "is_chat_model": True, "is_function_calling_model": True, **fields})


class Question(pydantic.BaseModel):
    town: str = pydantic.Field(max_length=12)
    days: int = pydantic.Field(ge=1, le=7)


def weather(town: str, days: int) -> str:
    """The weather of a town in some days."""
    return f"rain in {town}"


def clock() -> str:
    """The time of the day."""
    return "noon"


TOOLS = [FunctionTool.from_defaults(weather, fn_schema=Question), FunctionTool.from_defaults(clock)]


class Chat(unittest.TestCase):
    def test_an_answer_as_a_whole(self):
        answer = model().chat(COUNT)
        text, usage = whole("count to ten")
        self.assertEqual((answer.message.content, answer.raw.usage.completion_tokens), (text, usage["completion_tokens"]))
        self.assertEqual(model().complete("count to ten").text, text)

    def test_a_stream_says_the_same(self):
        pieces = [piece.delta for piece in model().stream_chat(COUNT)]
        self.assertEqual("".join(pieces), whole("count to ten")[0])
        self.assertGreater(len(pieces), 5)

    def test_the_asynchronous_client(self):
        async def both():
            asked = model()
            stream = await asked.astream_chat(COUNT)
            return (await asked.achat(COUNT)).message.content, "".join([piece.delta async for piece in stream])

        self.assertEqual(asyncio.run(both()), (whole("count to ten")[0],) * 2)

    def test_texts_are_continued(self):
        asked = model(is_chat_model=False, max_tokens=8)
        text = asked.complete("Once upon a time").text
        self.assertEqual("".join(piece.delta for piece in asked.stream_complete("Once upon a time")), text)

    def test_a_stream_that_is_left_stops(self):
        with stopped():
            stream = model(temperature=ENDLESS["temperature"]).stream_chat(COUNT, logit_bias=ENDLESS["logit_bias"])
            next(stream)
            stream.close()

    def test_structures_always_hold(self):
        for by_schema in (False, True):
            with self.subTest(by_schema=by_schema):
                asked = model(should_use_structured_outputs=by_schema)
                self.assertIsInstance(asked.as_structured_llm(Person).chat(COUNT).raw, Person)
                self.assertIsInstance(asked.structured_predict(Person, PromptTemplate("hello")), Person)

    def test_calls_that_are_demanded_come_and_their_results_go_back(self):
        answer = model().chat_with_tools(TOOLS, user_msg="hello", tool_choice="weather")
        (call,) = model().get_tool_calls_from_response(answer)
        self.assertEqual(call.tool_name, "weather")
        self.assertTrue(1 <= call.tool_kwargs["days"] <= 7)
        result = ChatMessage(str(TOOLS[0](**call.tool_kwargs)), role="tool", additional_kwargs={"tool_call_id": call.tool_id})
        after = model().chat_with_tools(TOOLS, chat_history=[*COUNT, answer.message, result], tool_choice="none")
        self.assertTrue(after.message.content)

    def test_a_tool_is_called_and_its_result_is_the_answer(self):
        answer = model().predict_and_call(TOOLS, user_msg="hello", tool_required=True, allow_parallel_tool_calls=False)
        self.assertIn(str(answer).split()[0], ("rain", "noon"))

    def test_another_model_is_not_there(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            model(model="another").chat(COUNT)
        self.assertIn(MODEL, str(raised.exception))

    def test_a_wrong_request_says_what_is_wrong(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            model().chat(COUNT, top_p=9)
        self.assertEqual(raised.exception.param, "top_p")


if __name__ == "__main__":
    unittest.main()
