"""The official Python package of OpenAI against a server with the demo model."""

import asyncio
import json
import unittest

import openai
import pydantic

from checks import URL, checked

TOWN = {"type": "string", "maxLength": 12}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town",
        "parameters": {
            "type": "object",
            "properties": {"town": TOWN, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
            "required": ["town", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
TIME = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}
HELLO = [{"role": "user", "content": "hello"}]
COUNT = [{"role": "user", "content": "count to ten"}]

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
MODEL = client.models.list().data[0].id


def chat(**fields):
    return client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **fields})


def streamed(**fields):
    """The checked chunks of a stream."""
    return [checked(chunk) for chunk in chat(stream=True, **fields)]


def text_of(chunks):
    deltas = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    return "".join(deltas)


class Models(unittest.TestCase):
    def test_the_loaded_model_is_listed_and_found(self):
        (listed,) = client.models.list().data
        self.assertEqual(checked(listed), checked(client.models.retrieve(MODEL)))
        with self.assertRaises(openai.NotFoundError) as raised:
            client.models.retrieve("gpt-4o")
        self.assertEqual(raised.exception.code, "model_not_found")


class Chat(unittest.TestCase):
    def test_an_answer_as_a_whole(self):
        answer = checked(chat(temperature=0))
        (choice,) = answer.choices
        self.assertEqual((choice.finish_reason, choice.message.role), ("stop", "assistant"))
        self.assertTrue(choice.message.content)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_a_stream_says_the_same(self):
        whole = chat(messages=COUNT, temperature=0)
        chunks = streamed(messages=COUNT, temperature=0, stream_options={"include_usage": True})
        self.assertEqual(text_of(chunks), whole.choices[0].message.content)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks[-2].choices[0].finish_reason, "stop")
        self.assertEqual((chunks[-1].choices, chunks[-1].usage.completion_tokens), ([], whole.usage.completion_tokens))
        self.assertGreater(len(chunks), 5)
        without = streamed(messages=COUNT, temperature=0)
        self.assertTrue(all(chunk.usage is None for chunk in without))

    def test_the_asynchronous_client(self):
        async def ask():
            async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none") as other:
                stream = await other.chat.completions.create(model=MODEL, messages=COUNT, stream=True, temperature=0)
                return [checked(chunk) async for chunk in stream]

        self.assertEqual(text_of(asyncio.run(ask())), chat(messages=COUNT, temperature=0).choices[0].message.content)

    def test_several_answers_repeat_by_their_seed(self):
        def texts():
            answer = checked(chat(n=3, seed=5, temperature=1.5))
            self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
            return [choice.message.content for choice in answer.choices]

        self.assertEqual(texts(), texts())
        chunks = streamed(n=2, seed=5, temperature=1.5)
        ends = {choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason}
        self.assertEqual(ends, {0, 1})

    def test_log_probabilities(self):
        answer = checked(chat(logprobs=True, top_logprobs=3, temperature=0))
        tokens = answer.choices[0].logprobs.content
        self.assertEqual(b"".join(bytes(token.bytes) for token in tokens).decode(), answer.choices[0].message.content)
        for token in tokens:
            self.assertEqual((len(token.top_logprobs), token.top_logprobs[0].token), (3, token.token))
        chunks = streamed(logprobs=True, top_logprobs=3, temperature=0)
        of_chunks = [choice.logprobs for chunk in chunks for choice in chunk.choices if choice.logprobs]
        self.assertEqual([token for logprobs in of_chunks for token in logprobs.content], tokens)
        self.assertIsNone(chat().choices[0].logprobs)

    def test_a_token_can_be_forbidden(self):
        first = chat(logprobs=True, temperature=0, max_tokens=1).choices[0]
        id = client.post("/../tokenize", body={"text": first.message.content}, cast_to=object)["ids"][0]
        other = chat(logit_bias={str(id): -100}, temperature=0, max_tokens=1).choices[0]
        self.assertNotEqual(first.message.content, other.message.content)

    def test_limits_and_stop_strings(self):
        self.assertEqual(chat(messages=COUNT, max_completion_tokens=2).choices[0].finish_reason, "length")
        whole = chat(messages=COUNT, temperature=0).choices[0].message.content
        word = whole.split()[1]
        cut = chat(messages=COUNT, temperature=0, stop=[word]).choices[0]
        self.assertEqual((cut.message.content, cut.finish_reason), (whole.split(word)[0], "stop"))

    def test_an_answer_goes_on_from_its_beginning(self):
        whole = chat(messages=COUNT, temperature=0).choices[0].message.content
        begun = whole[: len(whole) // 2]
        messages = [*COUNT, {"role": "assistant", "content": begun}]
        options = {"continue_final_message": True, "add_generation_prompt": False}
        rest = chat(messages=messages, temperature=0, extra_body=options)
        self.assertTrue(rest.choices[0].message.content)

    def test_structures_always_hold(self):
        class Person(pydantic.BaseModel):
            name: str = pydantic.Field(max_length=8)
            age: int = pydantic.Field(ge=0, le=150)

        for temperature in (0, 1):
            answer = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Person, temperature=temperature)
            self.assertIsInstance(answer.choices[0].message.parsed, Person)
        answer = chat(response_format={"type": "json_object"}, max_tokens=200, temperature=0)
        if answer.choices[0].finish_reason == "stop":
            self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)

    def test_a_call_that_is_demanded_comes(self):
        answer = checked(chat(tools=[WEATHER, TIME], tool_choice="required", temperature=0, parallel_tool_calls=False))
        (call,) = answer.choices[0].message.tool_calls
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertIn(call.function.name, ("weather", "time"))
        self.assertIsInstance(json.loads(call.function.arguments), dict)

    def test_a_named_call_comes_in_pieces(self):
        named = {"type": "function", "function": {"name": "weather"}}
        chunks = streamed(tools=[TIME, WEATHER], tool_choice=named, temperature=0)
        calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
        self.assertEqual((calls[0].function.name, calls[0].type, bool(calls[0].id)), ("weather", "function", True))
        arguments = json.loads("".join(call.function.arguments for call in calls))
        self.assertTrue(1 <= arguments["days"] <= 7 and len(arguments["town"]) <= 12)
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")

    def test_calls_and_their_results_come_back(self):
        call = {"id": "call-1", "type": "function", "function": {"name": "time", "arguments": "{}"}}
        messages = [
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call-1", "content": "It is noon."},
        ]
        answer = checked(chat(messages=messages, tools=[TIME]))
        self.assertEqual(answer.choices[0].message.role, "assistant")

    def test_a_model_may_also_call_nothing(self):
        for choice in ("auto", "none"):
            answer = checked(chat(tools=[WEATHER], tool_choice=choice, temperature=0))
            self.assertEqual((answer.choices[0].finish_reason, answer.choices[0].message.tool_calls), ("stop", None))

    def test_fields_of_other_services_change_nothing(self):
        answer = chat(temperature=0, user="u", metadata={"a": "b"}, store=False, service_tier="auto", prompt_cache_key="k")
        self.assertEqual(answer.choices[0].message.content, chat(temperature=0).choices[0].message.content)


class Completions(unittest.TestCase):
    def complete(self, **fields):
        return client.completions.create(**{"model": MODEL, "prompt": "Once upon a time", "temperature": 0, **fields})

    def test_texts_and_tokens_are_continued(self):
        answer = checked(self.complete())
        ids = client.post("/../tokenize", body={"text": "Once upon a time"}, cast_to=object)["ids"]
        self.assertEqual(self.complete(prompt=ids).choices[0].text, answer.choices[0].text)
        several = checked(self.complete(prompt=["Once upon a time", "Hello"], n=2))
        self.assertEqual([choice.index for choice in several.choices], [0, 1, 2, 3])
        self.assertEqual(several.choices[1].text, answer.choices[0].text)
        self.assertEqual(answer.usage.completion_tokens, 16)

    def test_a_stream_says_the_same(self):
        chunks = list(self.complete(stream=True, stream_options={"include_usage": True}))
        text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
        self.assertEqual(text, self.complete().choices[0].text)
        # The package has one type for both, which does not know that a piece is no end.
        unfinished = [chunk.choices[0] for chunk in chunks[:-2]]
        self.assertTrue(all(choice.finish_reason is None for choice in unfinished))
        self.assertTrue(checked(chunks[-2]).choices[0].finish_reason)
        self.assertEqual(chunks[-1].usage.completion_tokens, 16)

    def test_log_probabilities(self):
        logprobs = checked(self.complete(logprobs=2)).choices[0].logprobs
        self.assertEqual(len(logprobs.tokens), 16)
        self.assertEqual([len(top) for top in logprobs.top_logprobs], [2] * 16)
        self.assertEqual(logprobs.text_offset[1], len(logprobs.tokens[0]))


class Embeddings(unittest.TestCase):
    def test_texts_become_vectors(self):
        made = checked(client.embeddings.create(model=MODEL, input=["hello", "good morning", "hello"]))
        first, second, again = (item.embedding for item in made.data)
        self.assertEqual([item.index for item in made.data], [0, 1, 2])
        self.assertEqual(first, again)
        self.assertNotEqual(first, second)
        self.assertAlmostEqual(sum(value * value for value in first), 1, places=5)
        floats = client.embeddings.create(model=MODEL, input="hello", encoding_format="float").data[0].embedding
        for ours, theirs in zip(floats, first, strict=True):
            self.assertAlmostEqual(ours, theirs, places=6)

    def test_what_can_be_chosen(self):
        of = lambda **fields: client.embeddings.create(model=MODEL, **fields).data[0].embedding
        self.assertEqual(len(of(input="hello", dimensions=8)), 8)
        self.assertNotEqual(of(input="hello there"), of(input="hello there", extra_body={"pooling": "last"}))
        self.assertEqual(of(input=[[1, 2, 3]]), of(input=[1, 2, 3]))

    def test_what_cannot_be_is_refused_by_name(self):
        for name, fields in {
            "input": {"input": ""},
            "dimensions": {"input": "a", "dimensions": 60_000},
            "pooling": {"input": "a", "extra_body": {"pooling": "sum"}},
        }.items():
            with self.subTest(name), self.assertRaises(openai.BadRequestError) as raised:
                client.embeddings.create(model=MODEL, **fields)
            self.assertEqual(raised.exception.param, name)
        with self.assertRaises(openai.BadRequestError) as raised:
            client.embeddings.create(model=MODEL, input="hello " * 20_000)
        self.assertEqual(raised.exception.code, "context_length_exceeded")

    def test_the_asynchronous_client(self):
        async def ask():
            async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none") as other:
                return (await other.embeddings.create(model=MODEL, input="hello")).data[0].embedding

        self.assertEqual(asyncio.run(ask()), client.embeddings.create(model=MODEL, input="hello").data[0].embedding)


class Refused(unittest.TestCase):
    def refused(self, kind, **fields):
        with self.assertRaises(kind) as raised:
            chat(**fields)
        return raised.exception

    def test_what_is_wrong_or_not_done_is_named(self):
        wrong = [
            ("n", {"n": 0}),
            ("temperature", {"temperature": 9}),
            ("prediction", {"prediction": {"type": "content", "content": "x"}}),
            ("unheard_of", {"extra_body": {"unheard_of": 1}}),
            ("response_format", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strin"}}}}),
            ("messages[0].content[0]", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
            ("messages", {"messages": []}),
            ("logit_bias", {"logit_bias": {"99999999": 1}}),
        ]
        for param, fields in wrong:
            error = self.refused(openai.BadRequestError, **fields)
            self.assertEqual((error.param, error.type), (param, "invalid_request_error"), error.message)

    def test_a_conversation_that_does_not_fit_is_refused(self):
        long = [*HELLO, {"role": "assistant", "content": "word " * 9000}, *HELLO]
        error = self.refused(openai.BadRequestError, messages=long)
        self.assertEqual((error.code, error.param), ("context_length_exceeded", "messages"))

    def test_another_model_is_not_there(self):
        error = self.refused(openai.NotFoundError, model="gpt-4o")
        self.assertEqual((error.code, error.param), ("model_not_found", "model"))
        self.assertIn(MODEL, error.message)
