#!/usr/bin/env python3
"""Measures the processor time that a server takes for each token beside the model: 32 streams of
each interface at once, in front of a backend that plays a script.

    cargo build --release -p banter-server --example scripted
    tools/http_cost.py [--streams 32] [--tokens 2000] [--pause MS]

Each stream gets a token every 5 ms unless told otherwise. Everything that the server's process does
counts: what stands in for the model, the answer's log, the interface's words, HTTP and the system
calls. The client is another process.
"""

import argparse
import asyncio
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER = ROOT / "target/release/examples/scripted"
# Of each interface: its route, what a request says beside its messages, and what a word looks like.
INTERFACES = {
    "OpenAI, chat": ("/v1/chat/completions", {}, b'"content":"word'),
    "OpenAI, responses": ("/v1/responses", {"store": False}, b'"delta":"word'),
    "Anthropic": ("/v1/messages", {"max_tokens": 2048}, b'"text":"word'),
    "Ollama": ("/api/chat", {}, b'"content":"word'),
}


async def follow(port, request, word):
    """Reads a stream to its end, and counts its words."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    words = 0
    rest = b""
    while chunk := await reader.read(1 << 16):
        chunk = rest + chunk
        words += chunk.count(word)
        # A word may lie between two chunks.
        rest = chunk[-len(word) + 1 :]
    writer.close()
    return words


async def follow_all(port, request, word, streams):
    return sum(await asyncio.gather(*(follow(port, request, word) for _ in range(streams))))


def request_for(route, fields, text):
    message = [{"role": "user", "content": text}]
    body = {"model": "scripted", "stream": True, **fields}
    body["input" if route.endswith("responses") else "messages"] = message
    body = json.dumps(body).encode()
    head = f"POST {route} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def processor_seconds(pid):
    """What all threads of a process have computed."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--pause", type=int, default=5, metavar="MS")
    options = parser.parse_args()
    server = subprocess.Popen([SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(server.stdout.readline().split()[1].rsplit(":", 1)[1])
        print("interface,streams,tokens,microseconds_a_token")
        for name, (route, fields, word) in INTERFACES.items():
            request = request_for(route, fields, f"tokens {options.tokens} {options.pause}")
            before = processor_seconds(server.pid)
            words = asyncio.run(follow_all(port, request, word, options.streams))
            seconds = processor_seconds(server.pid) - before
            expected = options.tokens * options.streams
            if words != expected:
                raise SystemExit(f"{name}: expected {expected} words, found {words}")
            print(f'"{name}",{options.streams},{words},{seconds / words * 1e6:.1f}')
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
