"""Instructor in each of its modes that suit, against a server with the demo model."""

import asyncio
import typing
import unittest

import instructor
import openai
import pydantic
from instructor.core import InstructorRetryException

from shared import ENDLESS, MODEL, URL, Person, stopped

HELLO = [{"role": "user", "content": "hello"}]
USUAL = {"model": MODEL, "messages": HELLO, "response_model": Person, "temperature": 0, "max_retries": 0}
MODES = (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.RESPONSES_TOOLS)


def client(mode, kind=openai.OpenAI):
    return instructor.from_openai(kind(base_url=f"{URL}/v1", api_key="none", max_retries=0), mode=mode)


class Modes(unittest.TestCase):
    def test_a_structure_and_its_usage(self):
        for mode in MODES:
            with self.subTest(mode.name):
                person, answer = client(mode).chat.completions.create_with_completion(**USUAL)
                self.assertIsInstance(person, Person)
                self.assertGreater(answer.usage.total_tokens, 0)

    def test_the_asynchronous_client(self):
        async def ask(mode):
            return await client(mode, openai.AsyncOpenAI).chat.completions.create(**USUAL)

        for mode in MODES:
            with self.subTest(mode.name):
                self.assertIsInstance(asyncio.run(ask(mode)), Person)

    def test_another_model_is_not_there(self):
        for mode in MODES:
            with self.subTest(mode.name), self.assertRaises(InstructorRetryException) as raised:
                client(mode).chat.completions.create(**{**USUAL, "model": "another"})
            self.assertIsInstance(cause(raised.exception), openai.NotFoundError, mode)


class Streams(unittest.TestCase):
    def test_a_structure_comes_in_pieces(self):
        for mode in MODES[:2]:
            with self.subTest(mode.name):
                persons = list(client(mode).chat.completions.create_partial(**USUAL))
                self.assertIsInstance(Person.model_validate(persons[-1].model_dump()), Person)
                self.assertGreater(len(persons), 2)

    def test_a_stream_that_is_left_stops(self):
        # No mode can make a person endless, so this one is asked for nothing but text.
        fields = {**USUAL, "response_model": None, "messages": [{"role": "user", "content": "tell me a long story"}], **ENDLESS}
        with stopped(), client(instructor.Mode.TOOLS).chat.completions.create(**fields, stream=True) as stream:
            next(stream)

    def test_a_wrong_value_is_asked_for_again(self):
        """The demo model says the same again, so the second try fails as well; it has the first one's call and its error."""
        tries = []

        def never(person):
            tries.append(person)
            raise ValueError("nobody is right")

        class Nobody(Person):
            check = pydantic.model_validator(mode="after")(lambda self: never(self))

        with self.assertRaises(InstructorRetryException):
            client(instructor.Mode.TOOLS).chat.completions.create(**{**USUAL, "response_model": Nobody, "max_retries": 1})
        self.assertEqual(len(tries), 2)


def cause(error: BaseException) -> typing.Any:
    """The first error of a chain."""
    return cause(error.__cause__) if error.__cause__ else error


if __name__ == "__main__":
    unittest.main()
