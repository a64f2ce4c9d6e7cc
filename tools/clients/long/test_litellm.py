"""LiteLLM, by each of the interfaces that it knows, against a server with the demo model."""

import asyncio
import json
import os
import unittest

# The list of prices comes with the package: nothing is downloaded.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from shared import ENDLESS, MODEL, URL, Person, stopped, whole

litellm.suppress_debug_info = True
litellm.telemetry = False

COUNT = [{"role": "user", "content": "count to ten"}]
STORY = [{"role": "user", "content": "tell me a long story"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town",
        "parameters": {
            "type": "object",
            "properties": {"town": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
            "required": ["town", "days"],
            "additionalProperties": False,
        },
    },
}
TIME = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}


class Interface:
    """What is the same by each interface; `provider` and `base` say by which."""

    provider = base = ""

    def fields(self, **fields):
        usual = {"model": f"{self.provider}/{MODEL}", "api_base": self.base, "api_key": "none", "num_retries": 0, "max_retries": 0}
        return {**usual, "messages": COUNT, "temperature": 0, **fields}

    def ask(self, **fields):
        return litellm.completion(**self.fields(**fields))

    def test_an_answer_as_a_whole(self):
        answer = self.ask()
        text, usage = whole("count to ten")
        self.assertEqual((answer.choices[0].message.content, answer.choices[0].finish_reason), (text, "stop"))
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.completion_tokens), (usage["prompt_tokens"], usage["completion_tokens"]))

    def test_a_stream_says_the_same(self):
        chunks = list(self.ask(stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), whole("count to ten")[0])
        built = litellm.stream_chunk_builder(chunks, messages=COUNT)
        self.assertEqual(built.choices[0].message.content, whole("count to ten")[0])
        self.assertEqual(built.usage.completion_tokens, whole("count to ten")[1]["completion_tokens"])

    def test_the_asynchronous_client(self):
        async def stream():
            chunks = await litellm.acompletion(**self.fields(stream=True))
            return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

        async def both():
            return (await litellm.acompletion(**self.fields())).choices[0].message.content, await stream()

        self.assertEqual(asyncio.run(both()), (whole("count to ten")[0],) * 2)

    def test_structures_always_hold(self):
        answer = self.ask(response_format=Person)
        self.assertIsInstance(Person.model_validate_json(answer.choices[0].message.content), Person)

    def test_another_model_is_not_there(self):
        with self.assertRaises(litellm.NotFoundError) as raised:
            self.ask(model=f"{self.provider}/another")
        self.assertIn(MODEL, str(raised.exception))

    def test_a_wrong_request_says_what_is_wrong(self):
        with self.assertRaises(litellm.BadRequestError) as raised:
            self.ask(temperature=9)
        self.assertIn("temperature", str(raised.exception))


class Forced:
    """Calls that are demanded, which Ollama's interface does not know."""

    def test_a_call_that_is_demanded_comes(self):
        answer = self.ask(tools=[TIME, WEATHER], tool_choice="required", parallel_tool_calls=False)
        (call,) = answer.choices[0].message.tool_calls
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertIn(call.function.name, ("weather", "time"))
        self.assertIsInstance(json.loads(call.function.arguments), dict)

    def test_a_named_call_comes_in_pieces(self):
        named = {"type": "function", "function": {"name": "weather"}}
        chunks = list(self.ask(tools=[TIME, WEATHER], tool_choice=named, stream=True))
        (call,) = litellm.stream_chunk_builder(chunks, messages=COUNT).choices[0].message.tool_calls
        self.assertEqual(call.function.name, "weather")
        self.assertTrue(1 <= json.loads(call.function.arguments)["days"] <= 7)

    def test_calls_and_their_results_come_back(self):
        message = self.ask(tools=[WEATHER], tool_choice="required").choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
        answer = self.ask(messages=[*COUNT, message.model_dump(), result], tools=[WEATHER], tool_choice="none")
        self.assertTrue(answer.choices[0].message.content)


class OpenAi(Interface, Forced, unittest.TestCase):
    provider, base = "openai", f"{URL}/v1"

    def test_the_models_are_listed(self):
        listed = litellm.get_valid_models(check_provider_endpoint=True, custom_llm_provider="openai", api_base=URL, api_key="none")
        self.assertEqual(listed, [MODEL])

    def test_a_stream_that_is_left_stops(self):
        with stopped():
            stream = self.ask(messages=STORY, stream=True, **ENDLESS)
            next(stream)
            stream.completion_stream.close()

    def test_a_task_that_is_cancelled_stops(self):
        async def leave():
            stream = await litellm.acompletion(**self.fields(messages=STORY, stream=True, **ENDLESS))
            await anext(aiter(stream))
            await stream.aclose()

        with stopped():
            asyncio.run(leave())

    def test_texts_are_continued(self):
        fields = self.fields(max_tokens=8)
        del fields["messages"]
        answer = litellm.text_completion(prompt="Once upon a time", **{**fields, "model": f"text-completion-openai/{MODEL}"})
        self.assertEqual((answer.usage.completion_tokens, answer.choices[0].finish_reason), (8, "length"))

    def test_responses(self):
        fields = self.fields(input="count to ten")
        del fields["messages"]
        self.assertEqual(litellm.responses(**fields).output[0].content[0].text, whole("count to ten")[0])
        deltas = [event.delta for event in litellm.responses(**fields, stream=True) if event.type == "response.output_text.delta"]
        self.assertEqual("".join(deltas), whole("count to ten")[0])


class HostedVllm(Interface, Forced, unittest.TestCase):
    provider, base = "hosted_vllm", f"{URL}/v1"


class Anthropic(Interface, Forced, unittest.TestCase):
    provider, base = "anthropic", URL


class Ollama(Interface, unittest.TestCase):
    provider, base = "ollama_chat", URL


if __name__ == "__main__":
    unittest.main()
