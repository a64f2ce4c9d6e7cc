#!/usr/bin/env python3
"""Measures what a client waits for: the first word through /ws, and `accepted` of banter.v1.

    .venv/bin/python tools/latency.py http://localhost:7860 [http://localhost:7861]

With two servers, every measurement of one is followed by one of the other, so that what else the
machine does hits both alike. Prints medians, 90th percentiles and, for two servers, the ratio of the
medians. A server without banter.v1 has no `accepted`. The conversations that are made for it are
deleted at the end.
"""

import contextlib
import json
import secrets
import statistics
import sys
import time
from urllib.parse import quote
from urllib.request import Request, urlopen

import websockets.exceptions
from websockets.sync.client import connect

ROUNDS = 200
QUESTION = "Name three colours, please, and say why you have chosen them."


class Plain:
    """A socket of the plain language. Every question is a conversation of its own."""

    name = "first word through /ws"

    def __init__(self, server, until_the_end):
        self.socket = until_the_end.enter_context(connect(server.replace("http", "ws", 1) + "/ws"))

    def measure(self):
        begun = time.perf_counter()
        ask = {"message": f"{secrets.token_hex(4)} {QUESTION}", "max_tokens": 4, "temperature": 0}
        self.socket.send(json.dumps(ask))
        while not self.socket.recv():
            pass
        seconds = time.perf_counter() - begun
        while self.socket.recv():
            pass
        return seconds


class Accepted:
    """A socket of banter.v1 that asks on and on in one conversation."""

    name = "`accepted` of banter.v1"

    def __init__(self, server, until_the_end):
        self.server = server
        socket = connect(server.replace("http", "ws", 1) + "/ws", subprotocols=["banter.v1"])
        self.socket = until_the_end.enter_context(socket)
        if self.socket.subprotocol is None:
            raise LookupError("no banter.v1")
        self.socket.send(json.dumps({"type": "hello"}))
        self.until("welcome")
        self.conversation, self.last = None, None
        until_the_end.callback(self.delete)

    def until(self, kind):
        while True:
            event = json.loads(self.socket.recv())
            if event["type"] == "error":
                sys.exit(event["message"])
            if event["type"] == kind:
                return event

    def measure(self):
        send = {"type": "send", "text": QUESTION, "client_id": secrets.token_hex(16)}
        send["parameters"] = {"max_tokens": 1}
        if self.conversation is not None:
            send |= {"conversation": self.conversation, "parent": self.last}
        begun = time.perf_counter()
        self.socket.send(json.dumps(send))
        accepted = self.until("accepted")
        seconds = time.perf_counter() - begun
        self.conversation, self.last = accepted["conversation"], accepted["answer"]
        self.until("finished")
        return seconds

    def delete(self):
        if self.conversation is not None:
            path = f"/api/conversations/{quote(self.conversation)}"
            urlopen(Request(self.server + path, method="DELETE")).close()


def report(name, server, seconds):
    seconds = sorted(seconds)
    median, slow = statistics.median(seconds), seconds[len(seconds) * 9 // 10]
    figures = f"median {median * 1e3:.2f} ms, p90 {slow * 1e3:.2f} ms, {len(seconds)} times"
    print(f"{name}, {server}: {figures}")
    return median


def compare(what, servers):
    with contextlib.ExitStack() as until_the_end:
        clients = {}
        for server in servers:
            try:
                clients[server] = what(server, until_the_end)
            except LookupError as error:
                print(f"{what.name}, {server}: {error}")
        measured = {server: [] for server in clients}
        for _ in range(ROUNDS):
            for server, client in clients.items():
                measured[server].append(client.measure())
    medians = [report(what.name, server, seconds) for server, seconds in measured.items()]
    if len(medians) == 2:
        print(f"{what.name}: the first to the second {medians[0] / medians[1]:.3f}")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    addresses = [server.rstrip("/") for server in sys.argv[1:]]
    try:
        compare(Plain, addresses)
        compare(Accepted, addresses)
    except (OSError, websockets.exceptions.WebSocketException) as error:
        sys.exit(f"{' '.join(addresses)}: {error} (`banter serve` starts a server)")
