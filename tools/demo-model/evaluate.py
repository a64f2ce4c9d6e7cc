"""Judges the demo model on the held-out prompts, greedily, and writes the report.

    python evaluate.py --checkpoint FOLDER/last.pt            # in PyTorch, float weights
    python evaluate.py --gguf FILE                            # in PyTorch, the file's own weights
    python evaluate.py --server ws://localhost:7860/ws        # through banter; --report writes the report

Ends with status 1 when a gate is missed.
"""

import argparse
import asyncio
import collections
import json
import pathlib
import sys

from judge import MAY_REFUSE, judge, refused
from text.heldout import prompts
from vocabulary import Vocabulary

SETS = {"prompts.jsonl": "rare", "everyday.jsonl": "everyday", "tutorial.jsonl": "tutorial"}
ANSWER_TOKENS = 1024
REPORT = pathlib.Path(__file__).parent / "report"


def load_prompts(only: str | None, every: int) -> list[dict]:
    """The prompts to ask, each knowing its set."""
    found = [prompt | {"set": name} for file, name in SETS.items() for prompt in prompts(file)]
    return [prompt for prompt in found if only in (None, prompt["intent"])][::every]


def ask_model(model, vocabulary, asked: list[dict], limit: int) -> list[tuple[str, bool]]:
    """The last answer to each prompt, and whether it ended by itself, computed in PyTorch."""
    from model import generate

    histories = [[] for _ in asked]
    results: list = [None] * len(asked)
    for turn in range(max(len(prompt["turns"]) for prompt in asked)):
        due = [at for at, prompt in enumerate(asked) if turn < len(prompt["turns"])]
        for at in due:
            histories[at].append({"role": "user", "content": asked[at]["turns"][turn]})
        for begin in range(0, len(due), 64):
            some = due[begin : begin + 64]
            answers = generate(model, [vocabulary.prompt(histories[at]) for at in some], vocabulary.end, limit)
            for at, ids in zip(some, answers):
                finished = vocabulary.end not in ids
                text = vocabulary.decode(ids)
                histories[at].append({"role": "assistant", "content": text})
                results[at] = (text, finished)
    return results


async def _ask_server(address, asked):
    import websockets

    results = []
    async with websockets.connect(address, max_size=None) as socket:
        for prompt in asked:
            history = []
            for turn in prompt["turns"]:
                await socket.send(json.dumps({"message": turn, "history": history, "temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": ANSWER_TOKENS}))
                answer = ""
                while piece := await socket.recv():
                    answer += piece
                history += [{"role": "user", "content": turn}, {"role": "assistant", "content": answer}]
            results.append(answer)
    return results


def ask_server(address: str, vocabulary: Vocabulary, asked: list[dict]) -> list[tuple[str, bool]]:
    """The same through a running banter, in its plain language."""
    answers = asyncio.run(_ask_server(address, asked))
    return [(answer, len(vocabulary.encode(answer)) < ANSWER_TOKENS - 8) for answer in answers]


def summary(judged: list[dict]) -> dict:
    """Counts per set, intent and language, and the gates over the held-out sets."""
    held_out = [row for row in judged if row["set"] != "tutorial"]
    part = lambda rows: 100 * sum(not row["faults"] for row in rows) / len(rows) if rows else 100.0
    intents = {intent: part([row for row in held_out if row["intent"] == intent]) for intent in dict.fromkeys(row["intent"] for row in held_out)}
    in_scope = [row for row in held_out if row["intent"] not in MAY_REFUSE]
    refusals = 100 * sum(row["refused"] for row in in_scope) / max(1, len(in_scope))
    gates = {
        "overall >= 95 %": (part(held_out), part(held_out) >= 95),
        "every intent >= 85 %": (min(intents.values()), min(intents.values()) >= 85),
        "off-topic >= 90 %": (intents.get("off_topic", 100.0), intents.get("off_topic", 100.0) >= 90),
        "in-scope refused <= 3 %": (refusals, refusals <= 3),
    }
    return {"gates": gates, "intents": intents, "part": part}


def table(judged: list[dict]) -> str:
    """The markdown tables: gates, then intents by set and language."""
    counted = summary(judged)
    lines = ["| gate | found | |", "| --- | --- | --- |"] + [f"| {name} | {value:.1f} % | {'met' if met else '**missed**'} |" for name, (value, met) in counted["gates"].items()]
    columns = [(name, language) for name in SETS.values() for language in ("en", "zh")]
    groups = collections.defaultdict(list)
    for row in judged:
        groups[row["intent"], row["set"], row["language"]].append(not row["faults"])
        groups["all", row["set"], row["language"]].append(not row["faults"])
    cell = lambda results: f"{sum(results)}/{len(results)}" if results else ""
    lines += ["", "| intent | held out | " + " | ".join(" ".join(column) for column in columns) + " |", "| --- |" + " --- |" * (len(columns) + 1)]
    for intent in [*dict.fromkeys(row["intent"] for row in judged), "all"]:
        share = counted["intents"].get(intent) if intent != "all" else counted["gates"]["overall >= 95 %"][0]
        lines.append(f"| {intent} | {share:.1f} % | " + " | ".join(cell(groups[intent, *column]) for column in columns) + " |")
    return "\n".join(lines)


def wrong(judged: list[dict]) -> str:
    """Every wrong answer."""
    lines = []
    for row in judged:
        if row["faults"]:
            said = row["answer"] if len(row["answer"]) < 200 else row["answer"][:200] + " …"
            lines.append(f"- `{row['id']}` {' ⏎ '.join(row['turns'])} → {json.dumps(said, ensure_ascii=False)} ({'; '.join(row['faults'])})")
    return "\n".join(lines) or "None."


def write_report(judged: list[dict], source: str, name: str):
    """Writes `report/NAME.md` and `.json`."""
    REPORT.mkdir(exist_ok=True)
    (REPORT / f"{name}.md").write_text(f"# Evaluation\n\n{source}, greedy. Rules and prompts: `heldout/`.\n\n{table(judged)}\n\n## Wrong answers\n\n{wrong(judged)}\n")
    rows = [{key: row[key] for key in ("id", "turns", "answer", "faults")} for row in judged]
    (REPORT / f"{name}.json").write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=pathlib.Path)
    source.add_argument("--gguf", type=pathlib.Path)
    source.add_argument("--server", help="address of /ws")
    parser.add_argument("--intent", help="this intent alone")
    parser.add_argument("--every", type=int, default=1, help="every N-th prompt only")
    parser.add_argument("--limit", type=int, default=ANSWER_TOKENS, help="tokens an answer may have (PyTorch)")
    parser.add_argument("--report", help="write report/REPORT.md and .json")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    vocabulary, asked = Vocabulary(), load_prompts(options.intent, options.every)
    if options.server:
        results = ask_server(options.server, vocabulary, asked)
        label = "The Q8_0 file through banter's `/ws`"
    else:
        import torch

        from checkpoint import load
        from export import read_model

        torch.set_num_threads(options.threads)
        model = read_model(options.gguf) if options.gguf else load(options.checkpoint)[0]
        results = ask_model(model, vocabulary, asked, options.limit)
        label = "The Q8_0 file's weights in PyTorch" if options.gguf else "The float weights in PyTorch"
    judged = [prompt | {"answer": answer, "faults": judge(prompt, answer, len(vocabulary.encode(answer)), finished), "refused": refused(answer)} for prompt, (answer, finished) in zip(asked, results)]
    print(table(judged), "\n\n" + wrong(judged))
    if options.report:
        write_report(judged, label, options.report)
    sys.exit(0 if all(met for _, met in summary(judged)["gates"].values()) else 1)


if __name__ == "__main__":
    main()
