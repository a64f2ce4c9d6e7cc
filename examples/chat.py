"""A conversation with banter in a terminal: words as they come, Ctrl-C stops an answer, or leaves.
Run `python chat.py [ws://localhost:7860/ws]`; needs `websockets`. BANTER_KEY has the server's key."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import urllib.parse

import websockets

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "ws://localhost:7860/ws"
KEY, HISTORY_TURNS = os.environ.get("BANTER_KEY", ""), 6


def read_lines(loop, lines):
    for line in open(0, closefd=False):
        loop.call_soon_threadsafe(lines.put_nowait, line.strip())
    loop.call_soon_threadsafe(lines.put_nowait, None)


def as_error(frame):
    with contextlib.suppress(ValueError, TypeError, KeyError):  # an answer may begin like an error
        ((_, error),) = json.loads(frame).items() if frame.startswith('{"error":') else ()
        return f"[{error['code']}] {error['message']}"


async def ask(socket, message, history):
    """Prints the answer as it comes (bare text, or an error object, then "") and remembers it."""
    await socket.send(json.dumps({"message": message, "history": history[-2 * HISTORY_TURNS :]}))
    answer = ""
    while (frame := await socket.recv()) != "":
        error = as_error(frame)
        answer += "" if error else frame
        print(error or frame, end="", flush=True)
    print()
    if answer:
        history += [{"role": "user", "content": message}, {"role": "assistant", "content": answer}]


async def main():
    loop, lines, answering, history = asyncio.get_running_loop(), asyncio.Queue(), asyncio.Event(), []
    threading.Thread(target=read_lines, args=(loop, lines), daemon=True).start()
    async with websockets.connect(ADDRESS + (f"?key={urllib.parse.quote(KEY)}" if KEY else "")) as socket:
        def interrupt():
            loop.create_task(socket.send('{"stop": true}') if answering.is_set() else lines.put(None))
        loop.add_signal_handler(signal.SIGINT, interrupt)
        while print("> ", end="", flush=True) or (message := await lines.get()) is not None:
            answering.set()
            await ask(socket, message, history) if message else None
            answering.clear()


try:
    asyncio.run(main())
except (OSError, websockets.WebSocketException, KeyboardInterrupt) as error:
    sys.exit(f"{ADDRESS}: {error or 'left'} (`banter serve` starts a server)")
