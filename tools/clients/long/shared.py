"""What the tests of these clients have in common."""

import contextlib
import json
import os
import time
import urllib.request

import pydantic

# The server under test, without a slash at its end.
URL = os.environ["BANTER_URL"]


def asked(path, body=None):
    """What the server itself answers, without any client."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return response.read().decode()


MODEL = json.loads(asked("/v1/models"))["data"][0]["id"]


class Person(pydantic.BaseModel):
    """A person."""

    name: str = pydantic.Field(max_length=8)
    age: int = pydantic.Field(ge=0, le=150)


def whole(question):
    """The text that every client must get at temperature 0, and its usage."""
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0}
    answer = json.loads(asked("/v1/chat/completions", body))
    return answer["choices"][0]["message"]["content"], answer["usage"]


def _end_of_turn():
    """The token that ends an answer: in a prompt it also ends the question."""
    ids = json.loads(asked("/apply-template", {"messages": [{"role": "user", "content": "hi"}]}))["ids"]
    start = max(index for index, id in enumerate(ids) if id == ids[0])
    return ids[start - 2]


# Options of an answer that goes on until the context is full, about 2,000 tokens and a second.
ENDLESS = {"temperature": 2, "logit_bias": {str(_end_of_turn()): -100}}


def _figure(name):
    lines = asked("/metrics").splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


@contextlib.contextmanager
def stopped(at_most=700):
    """Demands that the server computes no more soon after the end of the block, and that it left out most of an endless answer."""
    pieces = _figure("banter_gap_seconds_count")
    yield
    limit = time.monotonic() + 10
    while _figure('banter_sequences{state="running"}'):
        assert time.monotonic() < limit, "the server still computes"
        time.sleep(0.01)
    computed = _figure("banter_gap_seconds_count") - pieces
    assert computed < at_most, f"the server went on for {computed} pieces"
