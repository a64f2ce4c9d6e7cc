"""`docs/API.md` names each field of OpenAI's reference, as the official package has it."""

import re
import unittest
from pathlib import Path

from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.completion_create_params import CompletionCreateParamsBase as CompletionParams
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase

INTERFACE = (Path(__file__).parents[2] / "docs" / "API.md").read_text().split("\n## OpenAI\n")[1].split("\n## ")[0]
# What completions and embeddings say only of the fields that chats do not have.
ROUTES = {
    "/v1/chat/completions": ChatParams,
    "/v1/completions": CompletionParams,
    "/v1/embeddings": EmbeddingCreateParams,
    "/v1/responses": ResponseCreateParamsBase,
}
SHORT = ("/v1/completions", "/v1/embeddings")


def section(route):
    """What stands about a route, from the paragraph that begins with it to the next route's."""
    begin = INTERFACE.index(f"\n`{route}`")
    return re.split(r"\n`/v1/", INTERFACE[begin + 1 :], maxsplit=1)[0]


def named(text):
    """The words in quotes of code."""
    return {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", code)}


class Reference(unittest.TestCase):
    def test_every_field_is_named(self):
        for route, params in ROUTES.items():
            words = named(section(route)) | {"model", "n"}
            if route in SHORT:
                words |= named(section("/v1/chat/completions"))
            for field in params.__annotations__:
                with self.subTest(f"{route} {field}"):
                    self.assertIn(field, words)


if __name__ == "__main__":
    unittest.main()
