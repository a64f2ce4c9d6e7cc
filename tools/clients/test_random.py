"""Random requests that the interfaces allow: each is answered, and none breaks the server.

BANTER_REQUESTS says how many are sent, and BANTER_SEED where the dice begin.
"""

import concurrent.futures
import http.client
import json
import os
import random
import unittest
import urllib.parse

from checks import URL

COUNT = int(os.environ.get("BANTER_REQUESTS", "300"))
SEED = int(os.environ.get("BANTER_SEED", "1"))
AT_ONCE = 8
PLACE = urllib.parse.urlsplit(URL)
TEXTS = ["hello", "count to ten", "你好，杭州。", "def f(x):\n    return x", "🎉 e\u0301 \u200b", "a" * 400, "<|im_end|> \"quoted\" \\", " "]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["a"]}
PARAMETERS = {"type": "object", "properties": {"town": {"type": "string", "maxLength": 6}}, "required": ["town"]}


def model():
    connection = http.client.HTTPConnection(PLACE.hostname, PLACE.port, timeout=60)
    connection.request("GET", "/v1/models")
    return json.loads(connection.getresponse().read())["data"][0]["id"]


class Dice(random.Random):
    def text(self):
        return self.choice(TEXTS)

    def some(self, fields):
        """Some of the fields, each with one of its values."""
        return {name: self.choice(values) for name, values in fields.items() if self.random() < 0.25}

    def conversation(self):
        """Messages that end with the user's."""
        messages = [{"role": "system", "content": self.text()}] if self.random() < 0.3 else []
        for _ in range(self.randrange(3)):
            messages += [{"role": "user", "content": self.text()}, {"role": "assistant", "content": self.text()}]
        return [*messages, {"role": "user", "content": self.text()}]


def sampling(dice):
    return dice.some(
        {
            "temperature": [0, 0.5, 1, 2, None],
            "top_p": [0.1, 1, None],
            "top_k": [1, 20],
            "min_p": [0, 0.5],
            "seed": [0, 7, None],
            "stop": ["x", ["a", "b"], None],
            "presence_penalty": [-2, 0, 2],
            "frequency_penalty": [-2, 0, 2],
            "repetition_penalty": [1, 1.3],
        }
    )


def chat(dice, name):
    fields = dice.some({"n": [1, 2, 3], "logit_bias": [{"5": -100}, {}], "user": ["u"], "metadata": [{"a": "b"}], "store": [False], "stream": [True]})
    if dice.random() < 0.3:
        fields |= {"logprobs": True, "top_logprobs": dice.randrange(21)}
    if dice.random() < 0.2:
        fields["response_format"] = dice.choice([{"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}])
    elif dice.random() < 0.3:
        fields["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
        fields["tool_choice"] = dice.choice(["auto", "none", "required", {"type": "function", "function": {"name": "weather"}}])
    length = dice.choice(["max_tokens", "max_completion_tokens"])
    return "/v1/chat/completions", {"model": name, "messages": dice.conversation(), length: dice.randrange(1, 24), **sampling(dice), **fields}


def completion(dice, name):
    fields = dice.some({"n": [1, 2], "logprobs": [0, 5], "stream": [True], "logit_bias": [{"5": 3}]})
    prompt = dice.choice([dice.text(), [dice.text(), dice.text()], [1, 2, 3], [[4, 5], [6]]])
    return "/v1/completions", {"model": name, "prompt": prompt, "max_tokens": dice.randrange(1, 24), **sampling(dice), **fields}


def response(dice, name):
    fields = dice.some({"store": [True, False], "stream": [True], "instructions": [dice.text()], "truncation": ["auto", "disabled"], "text": [{"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}]})
    given = dice.choice([dice.text(), dice.conversation()])
    return "/v1/responses", {"model": name, "input": given, "max_output_tokens": dice.randrange(1, 24), **fields}


def embedding(dice, name):
    fields = dice.some({"dimensions": [1, 16], "encoding_format": ["float", "base64"], "pooling": ["mean", "last"]})
    return "/v1/embeddings", {"model": name, "input": dice.choice([dice.text(), [dice.text(), dice.text()], [1, 2]]), **fields}


def ollama_chat(dice, name):
    options = dice.some({"temperature": [0, 1], "top_k": [1, 40], "seed": [3], "stop": [["x"]], "num_ctx": [512]})
    fields = dice.some({"stream": [True, False], "format": ["json", SCHEMA], "keep_alive": ["5m"], "truncate": [True]})
    options["num_predict"] = dice.randrange(1, 24)
    return "/api/chat", {"model": name, "messages": dice.conversation(), "options": options, **fields}


def ollama_generate(dice, name):
    fields = dice.some({"stream": [True, False], "format": ["json"], "raw": [True]})
    if "raw" not in fields:
        fields |= dice.some({"system": [dice.text()]})
    return "/api/generate", {"model": name, "prompt": dice.text(), "options": {"num_predict": dice.randrange(1, 24)}, **fields}


def message(dice, name):
    fields = dice.some({"system": [dice.text()], "temperature": [0, 1], "top_k": [5], "top_p": [0.5], "stop_sequences": [["x"]], "stream": [True], "metadata": [{"user_id": "u"}]})
    if dice.random() < 0.3:
        fields["tools"] = [{"name": "weather", "input_schema": PARAMETERS}]
        fields["tool_choice"] = dice.choice([{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "weather"}])
    messages = [message for message in dice.conversation() if message["role"] != "system"]
    return "/v1/messages", {"model": name, "max_tokens": dice.randrange(1, 24), "messages": messages, **fields}


def count(dice, name):
    messages = [message for message in dice.conversation() if message["role"] != "system"]
    return "/v1/messages/count_tokens", {"model": name, "messages": messages}


KINDS = [chat, chat, completion, response, embedding, ollama_chat, ollama_generate, message, count]


def send(numbers, name):
    """Sends some of the requests on one connection. Returns those that are not answered."""
    connection = http.client.HTTPConnection(PLACE.hostname, PLACE.port, timeout=120)
    wrong = []
    for number in numbers:
        dice = Dice(SEED * 1_000_000 + number)
        path, body = dice.choice(KINDS)(dice, name)
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200 or '"error": {' in text or "event: error" in text or "response.failed" in text:
            wrong.append(f"request {number}: {path} {json.dumps(body)}\n  {answer.status} {text[:300]}")
    return wrong


class Random(unittest.TestCase):
    def test_every_request_that_is_allowed_is_answered(self):
        name = model()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as clients:
            parts = [range(first, COUNT, AT_ONCE) for first in range(AT_ONCE)]
            wrong = [line for lines in clients.map(lambda part: send(part, name), parts) for line in lines]
        self.assertFalse(wrong, f"{len(wrong)} of {COUNT} with BANTER_SEED={SEED}:\n" + "\n".join(wrong[:5]))


if __name__ == "__main__":
    unittest.main()
