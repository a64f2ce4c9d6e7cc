"""A conversation with banter in a terminal: words as they come, Ctrl-C stops an answer.

Needs the package `websockets`. Run `python chat.py [ws://localhost:7860/ws]`; the server's key,
if it asks for one, is read from BANTER_KEY. Ctrl-C at the prompt, or the end of the input, leaves.
"""

import asyncio
import json
import os
import signal
import sys
import threading
import urllib.parse

import websockets

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "ws://localhost:7860/ws"
KEY = os.environ.get("BANTER_KEY", "")
HISTORY_TURNS = 6


def read_lines(loop, lines):
    for line in open(0, closefd=False):
        loop.call_soon_threadsafe(lines.put_nowait, line.strip())
    loop.call_soon_threadsafe(lines.put_nowait, None)


async def ask(socket, message, history):
    """Prints the answer as it comes (bare text, or an error object, then "") and returns it."""
    await socket.send(json.dumps({"message": message, "history": history[-2 * HISTORY_TURNS :]}))
    answer = ""
    while (frame := await socket.recv()) != "":
        if frame.startswith('{"error":'):
            print("[{code}] {message}".format(**json.loads(frame)["error"]), end="")
            continue
        answer += frame
        print(frame, end="", flush=True)
    print()
    return answer


async def main():
    loop, lines, answering = asyncio.get_running_loop(), asyncio.Queue(), asyncio.Event()
    threading.Thread(target=read_lines, args=(loop, lines), daemon=True).start()
    query = f"?key={urllib.parse.quote(KEY)}" if KEY else ""
    async with websockets.connect(ADDRESS + query) as socket:
        def interrupt():
            stop = socket.send('{"stop": true}') if answering.is_set() else lines.put(None)
            loop.create_task(stop)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        history = []
        while print("> ", end="", flush=True) or (message := await lines.get()) is not None:
            answering.set()
            answer = await ask(socket, message, history)
            answering.clear()
            history += [{"role": "user", "content": message}, {"role": "assistant", "content": answer}]


asyncio.run(main())
