"""`/v1/responses` with the official Python package of OpenAI."""

import asyncio
import json
import time
import unittest

import openai
import pydantic

from checks import URL, checked

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
MODEL = client.models.list().data[0].id
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a town",
    "parameters": {
        "type": "object",
        "properties": {"town": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["town", "days"],
        "additionalProperties": False,
    },
    "strict": True,
}


def respond(**fields):
    return client.responses.create(**{"model": MODEL, "input": "hello", "temperature": 0, **fields})


class Whole(unittest.TestCase):
    def test_a_response(self):
        response = checked(respond(instructions="Be brief.", metadata={"a": "b"}))
        self.assertEqual((response.status, response.instructions, response.metadata), ("completed", "Be brief.", {"a": "b"}))
        self.assertTrue(response.output_text)
        self.assertEqual(response.usage.total_tokens, response.usage.input_tokens + response.usage.output_tokens)

    def test_it_says_what_a_chat_says(self):
        messages = [{"role": "user", "content": "count to ten"}]
        chat = client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
        self.assertEqual(respond(input="count to ten").output_text, chat.choices[0].message.content)
        self.assertEqual(respond(input=messages).output_text, chat.choices[0].message.content)

    def test_a_limit(self):
        response = checked(respond(input="count to ten", max_output_tokens=2))
        self.assertEqual((response.status, response.incomplete_details.reason), ("incomplete", "max_output_tokens"))

    def test_log_probabilities(self):
        response = checked(respond(include=["message.output_text.logprobs"], top_logprobs=2))
        (part,) = response.output[0].content
        self.assertEqual("".join(token.token for token in part.logprobs), part.text)
        self.assertTrue(all(len(token.top_logprobs) == 2 for token in part.logprobs))

    def test_structures_always_hold(self):
        class Person(pydantic.BaseModel):
            name: str = pydantic.Field(max_length=8)
            age: int = pydantic.Field(ge=0, le=150)

        response = client.responses.parse(model=MODEL, input="hello", text_format=Person, temperature=0)
        self.assertIsInstance(response.output_parsed, Person)

    def test_calls_and_their_results(self):
        response = checked(respond(tools=[WEATHER], tool_choice="required", parallel_tool_calls=False))
        (call,) = response.output
        self.assertEqual((call.type, call.name), ("function_call", "weather"))
        self.assertTrue(1 <= json.loads(call.arguments)["days"] <= 7)
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        after = checked(respond(input=[result], previous_response_id=response.id, tools=[WEATHER], tool_choice="none"))
        self.assertTrue(after.output_text)
        whole = [{"role": "user", "content": "hello"}, call.model_dump(exclude_none=True), result]
        self.assertEqual(respond(input=whole, tools=[WEATHER], tool_choice="none").output_text, after.output_text)


class Streamed(unittest.TestCase):
    def test_the_events_are_those_of_the_response(self):
        events = [checked(event) for event in respond(input="count to ten", stream=True)]
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        kinds = [event.type for event in events]
        self.assertEqual(kinds[:4], ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"])
        self.assertEqual(kinds[-4:], ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"])
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        self.assertEqual(text, events[-1].response.output_text)
        self.assertEqual(text, respond(input="count to ten").output_text)

    def test_the_helper_for_streams(self):
        with client.responses.stream(model=MODEL, input="count to ten", temperature=0) as stream:
            for _ in stream:
                pass
            self.assertEqual(stream.get_final_response().output_text, respond(input="count to ten").output_text)

    def test_the_asynchronous_client(self):
        async def ask():
            async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none") as other:
                stream = await other.responses.create(model=MODEL, input="count to ten", stream=True, temperature=0)
                return [event async for event in stream][-1].response.output_text

        self.assertEqual(asyncio.run(ask()), respond(input="count to ten").output_text)

    def test_a_call_comes_in_pieces(self):
        choice = {"type": "function", "name": "weather"}
        events = [checked(event) for event in respond(tools=[WEATHER], tool_choice=choice, stream=True)]
        pieces = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
        (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
        self.assertEqual((pieces, done.arguments), (events[-1].response.output[0].arguments,) * 2)


class Kept(unittest.TestCase):
    def test_a_response_goes_on_from_an_earlier_one(self):
        first = respond(input="my name is Ada")
        second = checked(respond(input="what is my name?", previous_response_id=first.id))
        whole = [
            {"role": "user", "content": "my name is Ada"},
            {"role": "assistant", "content": first.output_text},
            {"role": "user", "content": "what is my name?"},
        ]
        self.assertEqual(second.output_text, respond(input=whole).output_text)
        third = respond(input="and again?", previous_response_id=second.id, stream=True)
        self.assertEqual(list(third)[-1].response.previous_response_id, second.id)

    def test_it_can_be_asked_for_and_deleted(self):
        made = respond()
        self.assertEqual(checked(client.responses.retrieve(made.id)), made)
        streamed = list(respond(stream=True))[-1].response
        self.assertEqual(client.responses.retrieve(streamed.id).output_text, streamed.output_text)
        with self.assertRaises(openai.BadRequestError):
            client.responses.cancel(made.id)
        client.responses.delete(made.id)
        for ask in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
            with self.assertRaises(openai.NotFoundError):
                ask(made.id)

    def test_one_that_is_not_to_be_kept_is_not(self):
        made = respond(store=False)
        with self.assertRaises(openai.NotFoundError):
            client.responses.retrieve(made.id)
        with self.assertRaises(openai.BadRequestError) as raised:
            respond(previous_response_id=made.id)
        self.assertEqual((raised.exception.code, raised.exception.param), ("previous_response_not_found", "previous_response_id"))

    def test_what_it_answered_can_be_listed(self):
        first = respond(instructions="Be brief.", input="my name is Ada")
        second = respond(input=[{"role": "user", "content": "what is my name?"}], previous_response_id=first.id)
        items = [checked(item) for item in client.responses.input_items.list(second.id, order="asc").data]
        self.assertEqual([item.role for item in items], ["user", "assistant", "user"])
        self.assertEqual(items[1].content[0].text, first.output_text)
        newest_first = [item.id for item in client.responses.input_items.list(second.id, limit=2)]
        self.assertEqual(newest_first, [item.id for item in reversed(items)])


class Background(unittest.TestCase):
    def test_it_is_made_while_nobody_waits(self):
        made = checked(respond(input="count to ten", background=True))
        self.assertIn(made.status, ("queued", "in_progress"))
        until = time.monotonic() + 60
        while made.status in ("queued", "in_progress") and time.monotonic() < until:
            made = checked(client.responses.retrieve(made.id))
        self.assertEqual((made.status, made.background), ("completed", True))
        self.assertEqual(made.output_text, respond(input="count to ten").output_text)

    def test_its_events_can_be_followed_from_any_of_them_on(self):
        events = [checked(event) for event in respond(input="count to ten", background=True, stream=True)]
        made = events[-1].response
        self.assertEqual((events[0].type, events[-1].type), ("response.created", "response.completed"))
        rest = client.responses.retrieve(made.id, stream=True, starting_after=events[3].sequence_number)
        self.assertEqual([checked(event) for event in rest], events[4:])
        again = checked(respond(input="and again", previous_response_id=made.id))
        self.assertEqual(again.previous_response_id, made.id)

    def test_it_can_be_cancelled(self):
        # Nothing ends this text but its length.
        endless = {"format": {"type": "json_schema", "name": "long", "schema": {"type": "string", "minLength": 2000}}}
        made = respond(background=True, text=endless, max_output_tokens=2000)
        self.assertEqual(checked(client.responses.cancel(made.id)).status, "cancelled")
        self.assertEqual(client.responses.retrieve(made.id).status, "cancelled")


class Socket(unittest.TestCase):
    def test_one_response_after_the_other(self):
        with client.responses.connect() as connection:
            connection.response.create(model=MODEL, input="my name is Ada", store=False, temperature=0)
            first = self.rest_of(connection)
            self.assertEqual(first[-1].response.output_text, respond(input="my name is Ada").output_text)
            connection.response.create(
                model=MODEL, input="what is my name?", previous_response_id=first[-1].response.id, store=False, temperature=0
            )
            whole = [
                {"role": "user", "content": "my name is Ada"},
                {"role": "assistant", "content": first[-1].response.output_text},
                {"role": "user", "content": "what is my name?"},
            ]
            self.assertEqual(self.rest_of(connection)[-1].response.output_text, respond(input=whole).output_text)
            connection.response.create(model="another", input="hello")
            (error,) = self.rest_of(connection)
            self.assertEqual((error.status, error.error.code), (404, "model_not_found"))

    def test_the_asynchronous_client(self):
        async def ask():
            async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none") as other:
                async with other.responses.connect() as connection:
                    await connection.response.create(model=MODEL, input="count to ten", temperature=0)
                    async for event in connection:
                        if event.type == "response.completed":
                            return event.response.output_text

        self.assertEqual(asyncio.run(ask()), respond(input="count to ten").output_text)

    def rest_of(self, connection):
        events = []
        for event in connection:
            events.append(checked(event))
            if event.type in ("error", "response.completed"):
                return events


class Errors(unittest.TestCase):
    def test_what_is_not_done_is_refused_by_name(self):
        picture = [{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"}]}]
        refused = {
            "input[0]": {"input": picture},
            "tools[0]": {"tools": [{"type": "web_search"}]},
            "background": {"background": True, "store": False},
            "reasoning.effort": {"reasoning": {"effort": "high"}},
            "conversation": {"conversation": "conv_1"},
            "max_output_tokens": {"max_output_tokens": 0},
            "input": {"input": []},
        }
        for name, fields in refused.items():
            with self.subTest(name), self.assertRaises(openai.BadRequestError) as raised:
                respond(**fields)
            self.assertEqual(raised.exception.param, name)


if __name__ == "__main__":
    unittest.main()
