#!/usr/bin/env python3
"""Writes the golden logits that the engine's forward pass is compared with.

The models are described in crates/engine/tests/golden/models.json and made of random numbers that
the Rust test makes again, bit for bit; see README.md. They are run by transformers in float32.

    python tools/golden/logits.py            # writes every NAME.bin again
    python tools/golden/logits.py --check    # runs every model again and compares
"""

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

FOLDER = Path(__file__).resolve().parents[2] / "crates/engine/tests/golden"
TOP = 8
COLUMNS = 8
PROMPT_TOKENS = 24
GREEDY_TOKENS = 128
# A prompt whose greedy answer hangs on a narrower choice than this part of the logits' standard
# deviation proves nothing about either side, so another prompt is taken.
LEAST_MARGIN = 0.004
# How far float32 may be from float64 in transformers itself, in standard deviations: a model that is
# more sensitive could not tell a right engine from a wrong one. A quarter of the test's tolerance.
MOST_ROUNDING = 2.5e-4
# One position: logsumexp, standard deviation, top values, fixed columns; then the top ids.
POSITION = struct.Struct(f"<2f{TOP}f{COLUMNS}f{TOP}I")

U64 = np.uint64


def name_key(name):
    """FNV-1a, 64 bits."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001B3) % 2**64
    return key


def random_bits(seed, name, count):
    """SplitMix64 of a counter: `count` numbers of 64 bits that depend on seed and name alone."""
    start = U64(name_key(name) ^ seed)
    with np.errstate(over="ignore"):
        z = start + np.arange(1, count + 1, dtype=U64) * U64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
        return z ^ (z >> U64(31))


def uniform(seed, name, count):
    """Multiples of 2^-23 from -1 to 1, exact in float32."""
    integers = (random_bits(seed, name, count) >> U64(40)).astype(np.int64) - 2**23
    return integers.astype(np.float32) * np.float32(2.0**-23)


def rounded(values, stored_as):
    """What is left of float32 values after they were stored."""
    if stored_as == "F16":
        return values.astype(np.float16).astype(np.float32)
    if stored_as == "BF16":
        return torch.from_numpy(values).to(torch.bfloat16).to(torch.float32).numpy()
    return values


def outlier_channels(hidden):
    return [3, hidden // 2]


def tensor(spec, name, shape):
    """The weights of one tensor; every step is a single rounding to float32."""
    values = uniform(spec["seed"], name, int(np.prod(shape))).reshape(shape)
    channels = outlier_channels(spec["hidden_size"])
    if name.endswith("norm.weight"):
        values = values * np.float32(0.5) + np.float32(1.0)
        if spec["outliers"]:
            is_outlier = np.isin(np.arange(shape[0]), channels)
            # What is large is made small again, in the end so small that a tied head survives it.
            small = 2.0**-15 if name == "model.norm.weight" else 2.0**-5
            values = values * np.where(is_outlier, np.float32(small), np.float32(24))
    elif name.endswith(".bias"):
        scale = bias_scale(spec, name, shape[0]) * calming(spec, name)
        values = values * np.float32(scale)
    else:
        scale = np.float32(matrix_scale(spec, name, shape[1]) * calming(spec, name))
        values = values * scale
        if spec["outliers"] and name == "model.embed_tokens.weight":
            # 500 to 1,000 times the rest, never near 0: then the norm would make the rest large.
            large = values[:, channels]
            values[:, channels] = (large + np.copysign(scale, large)) * np.float32(500)
    return rounded(values.astype(np.float32), spec["stored_as"])


def matrix_scale(spec, name, depth):
    if name == "model.embed_tokens.weight":
        # A tied embedding of full size would make every token answer itself.
        if spec["tie_word_embeddings"]:
            return 0.05 if spec["outliers"] else 0.2
        return 1.0
    gain = 1.0
    if "q_proj" in name or "k_proj" in name:
        gain = 1.5
    if name == "lm_head.weight":
        gain = 4.0
    return gain * np.sqrt(3.0 / depth)


def bias_scale(spec, name, width):
    last = spec["num_hidden_layers"] - 1
    norms = {"model.layers.0.self_attn.k_proj.bias": 650.0,
             f"model.layers.{last}.self_attn.k_proj.bias": 900.0}
    if spec["outliers"] and name in norms:
        return norms[name] * np.sqrt(3.0 / width)
    return 0.5


def calming(spec, name):
    """Keeps models with outliers well conditioned, as trained ones are.

    Large keys with queries of full size would make attention jump between positions at a rounding
    error, and the residual stream would grow until its large channels were not large any more.
    """
    if not spec["outliers"]:
        return 1.0
    if "o_proj" in name or "down_proj" in name:
        return 0.25
    last = spec["num_hidden_layers"] - 1
    has_large_keys = any(f"layers.{layer}.self_attn.q_proj" in name for layer in (0, last))
    return 0.25 if has_large_keys else 1.0


def tokens(spec, name, count):
    bits = random_bits(spec["seed"], name, count)
    return ((bits >> U64(11)) % U64(spec["tokens"])).astype(np.int64)


def columns(spec):
    return [index * (spec["vocab_size"] - 1) // (COLUMNS - 1) for index in range(COLUMNS)]


def build(spec):
    own = {"name", "seed", "stored_as", "tokens", "end_tokens", "outliers", "sequences"}
    keys = {key: value for key, value in spec.items() if key not in own}
    theta = keys.pop("rope_theta")
    rope = {"rope_type": "default", "rope_theta": theta}
    config = Qwen2Config(**keys, rope_parameters=rope, attn_implementation="eager")
    model = Qwen2ForCausalLM(config).to(torch.float32).eval()
    assert model.config.rope_parameters["rope_theta"] == theta, "transformers took the rope base"
    assert model.model.layers[0].self_attn.head_dim == spec["head_dim"]
    with torch.no_grad():
        seen = set()
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(tensor(spec, name, tuple(parameter.shape))))
            seen.add(name)
    assert ("lm_head.weight" in seen) != spec["tie_word_embeddings"]
    return model


@torch.no_grad()
def positions(spec, model):
    """The records of every position of every sequence."""
    records = bytearray()
    for index, length in enumerate(spec["sequences"]):
        ids = torch.from_numpy(tokens(spec, f"sequence/{index}", length))[None]
        logits = model(ids).logits[0]
        assert logits.dtype == torch.float32
        top = logits.topk(TOP)
        sums = torch.logsumexp(logits.double(), dim=-1).float()
        deviations = logits.double().std(dim=-1, correction=0).float()
        fixed = logits[:, columns(spec)]
        for row in range(length):
            records += POSITION.pack(sums[row], deviations[row], *top.values[row].tolist(),
                                     *fixed[row].tolist(), *top.indices[row].tolist())
    return bytes(records)


@torch.no_grad()
def check_conditioning(spec):
    """Ends the program if rounding alone moves the logits too far."""
    model, worst = build(spec), 0.0
    ids = [torch.from_numpy(tokens(spec, f"sequence/{index}", length))[None]
           for index, length in enumerate(spec["sequences"])]
    singles = [model(sequence).logits for sequence in ids]
    model = model.double()
    for sequence, single in zip(ids, singles):
        double = model(sequence).logits
        apart = (single - double).abs() / double.std(dim=-1, keepdim=True)
        worst = max(worst, apart.max().item())
    print(f"{spec['name']}: float32 is at most {worst:.1e} standard deviations from float64")
    if worst > MOST_ROUNDING:
        sys.exit(f"{spec['name']}: expected at most {MOST_ROUNDING:.1e}")


@torch.no_grad()
def greedy_answers(spec, model, attempts):
    """Greedy answers to several prompts, and how narrow their narrowest choices were."""
    prompts = [tokens(spec, f"prompt/{attempt}", PROMPT_TOKENS) for attempt in attempts]
    ids, past, answers, margins = torch.from_numpy(np.stack(prompts)), None, [], []
    for _ in range(GREEDY_TOKENS):
        out = model(ids, past_key_values=past, use_cache=True)
        past, logits = out.past_key_values, out.logits[:, -1]
        top = logits.topk(2)
        margins.append((top.values[:, 0] - top.values[:, 1]) / logits.std(dim=-1))
        answers.append(top.indices[:, 0])
        ids = top.indices[:, :1]
    return torch.stack(answers, 1).tolist(), torch.stack(margins, 1).amin(1).tolist()


def greedy(spec, model):
    """The first prompt whose greedy answer is decided clearly and varied, and that answer."""
    for start in range(0, 256, 32):
        attempts = range(start, start + 32)
        for attempt, *found in zip(attempts, *greedy_answers(spec, model, attempts)):
            if is_telling(*found):
                # Alone, because it was chosen among others.
                (answer,), (margin,) = greedy_answers(spec, model, [attempt])
                assert is_telling(answer, margin)
                print(f"{spec['name']}: prompt {attempt}, narrowest choice {margin:.4f} standard "
                      f"deviations, {len(set(answer))} different tokens")
                return struct.pack(f"<I{GREEDY_TOKENS}I", attempt, *answer)
    sys.exit(f"{spec['name']}: no prompt is decided clearly")


def is_telling(answer, margin):
    return margin >= LEAST_MARGIN and len(set(answer)) >= GREEDY_TOKENS // 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for spec in json.loads((FOLDER / "models.json").read_text()):
        check_conditioning(spec)
        model = build(spec)
        data = greedy(spec, model) + positions(spec, model)
        path = FOLDER / f"{spec['name']}.bin"
        if arguments.check:
            print(f"{path.name}: {difference(path.read_bytes(), data)}")
        else:
            path.write_bytes(data)
            print(f"{path.name}: {len(data)} bytes, {sum(spec['sequences'])} positions")


def difference(old, new):
    """How far two files are apart, which on another processor they may be by a little."""
    head = 4 * (1 + GREEDY_TOKENS)
    if old[:head] != new[:head] or len(old) != len(new):
        sys.exit("another greedy answer or another length")
    floats = 2 + TOP + COLUMNS
    old, new = (np.frombuffer(data[head:], dtype="<f4").reshape(-1, floats + TOP)[:, :floats]
                for data in (old, new))
    apart = np.abs(old - new) / old[:, 1:2]
    return f"at most {apart.max():.1e} standard deviations apart"


if __name__ == "__main__":
    main()
