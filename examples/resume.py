"""An answer survives a lost connection: this asks, closes its socket in the middle, connects again
for the rest, and lists the conversations. Run `python resume.py [http://localhost:7860]`; needs
`websockets`. BANTER_KEY has the server's key. The language is banter.v1 of docs/PROTOCOL.md."""

import json
import os
import secrets
import sys
from urllib.request import Request, urlopen

import websockets.sync.client

SERVER = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://localhost:7860"
SOCKET = SERVER.replace("http", "ws", 1) + "/ws"
KEY = {"Authorization": "Bearer " + os.environ["BANTER_KEY"]} if "BANTER_KEY" in os.environ else {}
OPTIONS = {"subprotocols": ["banter.v1"], "additional_headers": KEY}


def events(socket):
    for event in map(json.loads, socket):
        if event["type"] == "error":
            sys.exit(event["message"])
        yield event
    raise ConnectionError("the server has closed the socket")


def greet(socket):
    socket.send(json.dumps({"type": "hello"}))
    next(event for event in events(socket) if event["type"] == "welcome")


def read(socket, answer, text, enough=float("inf")):
    """Prints what comes, and returns the text with it: to the end, or once it has this length."""
    for event in events(socket):
        if event["type"] == "delta" and event["answer"] == answer:
            assert event["at"] == len(text.encode()), "a delta goes on where our text ends"
            text += event["text"]
            print(event["text"], end="", flush=True)
        if event["type"] == "finished" and event["answer"] == answer or len(text) >= enough:
            return text


try:
    with websockets.sync.client.connect(SOCKET, **OPTIONS) as socket:
        greet(socket)
        send = {"type": "send", "text": "Tell me about you.", "client_id": secrets.token_hex(16)}
        socket.send(json.dumps(send))  # The same may be sent again until `accepted` comes.
        asked = next(event for event in events(socket) if event["type"] == "accepted")
        text = read(socket, asked["answer"], "", enough=20)
    print("\n(the socket is closed)")
    with websockets.sync.client.connect(SOCKET, **OPTIONS) as socket:
        greet(socket)
        have = len(text.encode())
        socket.send(json.dumps({"type": "resume", "answer": asked["answer"], "at": have}))
        text = read(socket, asked["answer"], text)
    print(f"\n(the whole answer)\n{text}\n(the conversations)")
    with urlopen(Request(SERVER + "/api/conversations", headers=KEY)) as response:
        print(*(one["title"] for one in json.load(response)["conversations"]), sep="\n")
except (OSError, websockets.WebSocketException) as error:
    sys.exit(f"{SERVER}: {error} (`banter serve` starts a server)")
