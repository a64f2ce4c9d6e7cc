"""What the tests of clients have in common."""

import os
import typing

import pydantic

# The server under test, without a slash at its end.
URL = os.environ["BANTER_URL"]

# Fields that others add to OpenAI's as well (vLLM, SGLang, llama-server, DeepSeek), and one that OpenAI
# tells although its types lack it.
EXTENSIONS = {"reasoning_content", "max_model_len", "store"}


def checked(response: pydantic.BaseModel) -> typing.Any:
    """The same response, if every field has the type that the package says, and no other exists.

    The packages themselves check nothing: they build their types from whatever comes.
    """
    type(response).model_validate(response.model_dump(by_alias=True), strict=True)
    unknown = set(_unknown_fields(response)) - EXTENSIONS
    assert not unknown, f"{type(response).__name__} has no {unknown}"
    return response


def _unknown_fields(value: typing.Any) -> typing.Iterator[str]:
    if isinstance(value, pydantic.BaseModel):
        yield from value.model_extra or {}
        for name in type(value).model_fields:
            yield from _unknown_fields(getattr(value, name, None))
    elif isinstance(value, list):
        for entry in value:
            yield from _unknown_fields(entry)
