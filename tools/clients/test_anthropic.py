"""The official Python package of Anthropic against a server with the demo model."""

import asyncio
import unittest

import anthropic
import pydantic

from checks import URL, checked

HELLO = [{"role": "user", "content": "hello"}]
COUNT = [{"role": "user", "content": "count to ten"}]
WEATHER = {
    "name": "weather",
    "description": "The weather of a town",
    "input_schema": {
        "type": "object",
        "properties": {
            "town": {"type": "string", "maxLength": 12},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
        },
        "required": ["town", "days"],
        "additionalProperties": False,
    },
}
TIME = {"name": "time", "input_schema": {"type": "object", "properties": {}, "additionalProperties": False}}

client = anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0)
MODEL = client.get("/v1/models", cast_to=object)["data"][0]["id"]


# The package's newest version knows no temperature.
USUAL = {"model": MODEL, "messages": HELLO, "max_tokens": 200, "extra_body": {"temperature": 0}}


def ask(**fields):
    return client.messages.create(**{**USUAL, **fields})


def streamed(**fields):
    return client.messages.stream(**{**USUAL, **fields})


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


class Models(unittest.TestCase):
    def test_they_are_listed(self):
        (model,) = client.models.list().data
        self.assertEqual(checked(model).id, MODEL)
        self.assertEqual(checked(client.models.retrieve(MODEL)), model)


class Messages(unittest.TestCase):
    def test_an_answer_as_a_whole(self):
        message = checked(ask())
        self.assertEqual((message.stop_reason, message.role, message.type), ("end_turn", "assistant", "message"))
        self.assertTrue(text_of(message))
        usage = message.usage
        self.assertGreater(min(usage.input_tokens + usage.cache_read_input_tokens, usage.output_tokens), 0)

    def test_a_stream_says_the_same(self):
        whole = ask(messages=COUNT)
        with streamed(messages=COUNT) as stream:
            text = "".join(stream.text_stream)
            final = checked(stream.get_final_message())
        self.assertEqual((text, text_of(final), final.stop_reason), (text_of(whole), text_of(whole), "end_turn"))
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)
        events = [checked(event) for event in ask(messages=COUNT, stream=True)]
        kinds = [event.type for event in events]
        self.assertEqual(kinds[:2], ["message_start", "content_block_start"])
        self.assertEqual(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])
        self.assertGreater(kinds.count("content_block_delta"), 5)

    def test_the_asynchronous_client(self):
        async def stream():
            async with anthropic.AsyncAnthropic(base_url=URL, api_key="none") as other:
                async with other.messages.stream(**{**USUAL, "messages": COUNT}) as stream:
                    return [text async for text in stream.text_stream]

        self.assertEqual("".join(asyncio.run(stream())), text_of(ask(messages=COUNT)))

    def test_system_messages_and_blocks(self):
        blocks = [{"type": "text", "text": "hel", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "lo"}]
        system = "Answer in one word."
        plain = ask(system=system)
        in_blocks = ask(system=[{"type": "text", "text": system}], messages=[{"role": "user", "content": blocks}])
        self.assertEqual(text_of(plain), text_of(in_blocks))

    def test_limits_and_stop_sequences(self):
        self.assertEqual(checked(ask(messages=COUNT, max_tokens=2)).stop_reason, "max_tokens")
        words = text_of(ask(messages=COUNT)).split()
        cut = checked(ask(messages=COUNT, stop_sequences=["never said", words[1]]))
        self.assertEqual((cut.stop_reason, cut.stop_sequence), ("stop_sequence", words[1]))
        events = list(ask(messages=COUNT, stop_sequences=["never said", words[1]], stream=True))
        (end,) = [event.delta for event in events if event.type == "message_delta"]
        self.assertEqual((end.stop_reason, end.stop_sequence), ("stop_sequence", words[1]))

    def test_an_answer_goes_on_from_its_beginning(self):
        whole = text_of(ask(messages=COUNT))
        rest = ask(messages=[*COUNT, {"role": "assistant", "content": whole[: len(whole) // 2]}])
        self.assertTrue(text_of(rest))

    def test_a_call_that_is_demanded_comes(self):
        message = checked(ask(tools=[WEATHER, TIME], tool_choice={"type": "any", "disable_parallel_tool_use": True}))
        (call,) = [block for block in message.content if block.type == "tool_use"]
        self.assertEqual((message.stop_reason, call.name in ("weather", "time")), ("tool_use", True))
        named = {"type": "tool", "name": "weather"}
        with streamed(tools=[TIME, WEATHER], tool_choice=named) as stream:
            final = checked(stream.get_final_message())
        call = final.content[-1]
        self.assertEqual((final.stop_reason, call.type, call.name), ("tool_use", "tool_use", "weather"))
        self.assertTrue(1 <= call.input["days"] <= 7 and len(call.input["town"]) <= 12)

    def test_calls_and_their_results_come_back(self):
        history = [
            *HELLO,
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "…", "signature": ""},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "call-1", "name": "weather", "input": {"town": "Ulm", "days": 2}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call-1", "content": [{"type": "text", "text": "rain"}]},
                {"type": "text", "text": "and now?"},
            ]},
        ]
        self.assertTrue(checked(ask(messages=history, tools=[WEATHER], tool_choice={"type": "none"})).content)

    def test_structures_always_hold(self):
        class Person(pydantic.BaseModel):
            name: str = pydantic.Field(max_length=8)
            age: int = pydantic.Field(ge=0, le=150)

        schema = {**Person.model_json_schema(), "additionalProperties": False}
        message = ask(output_config={"format": {"type": "json_schema", "schema": schema}})
        self.assertIsInstance(Person.model_validate_json(text_of(message)), Person)

    def test_tokens_are_counted(self):
        counted = checked(client.messages.count_tokens(model=MODEL, messages=COUNT))
        usage = ask(messages=COUNT).usage
        self.assertEqual(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens)
        with_tools = client.messages.count_tokens(model=MODEL, messages=COUNT, tools=[WEATHER])
        self.assertGreater(with_tools.input_tokens, counted.input_tokens)


class Errors(unittest.TestCase):
    def test_another_model_is_not_found(self):
        with self.assertRaises(anthropic.NotFoundError) as raised:
            ask(model="claude-sonnet-4-5")
        self.assertEqual(raised.exception.body["error"]["type"], "not_found_error")

    def test_what_is_not_done_is_refused_by_name(self):
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
        refused = {
            "messages[0].content[0]": {"messages": [{"role": "user", "content": [picture]}]},
            "tools[0]": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "temperature": {"extra_body": {"temperature": 9}},
            "container": {"extra_body": {"container": "c"}},
            "messages": {"messages": []},
        }
        for name, fields in refused.items():
            with self.subTest(name), self.assertRaises(anthropic.BadRequestError) as raised:
                ask(**fields)
            error = raised.exception.body["error"]
            self.assertEqual((error["type"], error["message"].startswith(f"{name}: expected")), ("invalid_request_error", True))


if __name__ == "__main__":
    unittest.main()
