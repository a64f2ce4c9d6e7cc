"""Writes small valid inputs for the fuzz targets, from which mutations start.

    pip install gguf numpy
    python fuzz/seeds/make.py
"""

import json
from pathlib import Path

import gguf
import numpy as np

HERE = Path(__file__).parent
HIDDEN, HEADS, KV_HEADS, FEED_FORWARD, ROWS = 32, 2, 1, 32, 8
TOKENS = ["a", "b", "ab", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "intermediate_size": FEED_FORWARD,
    "vocab_size": ROWS,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "eos_token_id": [5, 3],
}


def write_gguf(path: Path, kind: gguf.GGMLQuantizationType) -> None:
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("Seed")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([1, 1, 1, 3, 3, 3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(5)
    writer.add_bos_token_id(3)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{{ messages }}")

    def add(name: str, *shape: int) -> None:
        values = np.zeros(shape, dtype=np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    kv_width = HIDDEN // HEADS * KV_HEADS
    add("token_embd.weight", ROWS, HIDDEN)
    add("output_norm.weight", HIDDEN)
    for norm in ("attn_norm", "ffn_norm"):
        add(f"blk.0.{norm}.weight", HIDDEN)
    for part, width in (("q", HIDDEN), ("k", kv_width), ("v", kv_width)):
        add(f"blk.0.attn_{part}.weight", width, HIDDEN)
        add(f"blk.0.attn_{part}.bias", width)
    add("blk.0.attn_output.weight", HIDDEN, HIDDEN)
    for part in ("gate", "up", "down"):
        add(f"blk.0.ffn_{part}.weight", FEED_FORWARD, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_json(target: str, name: str, value: object) -> None:
    (HERE / target / name).write_text(json.dumps(value), encoding="utf-8")


def main() -> None:
    write_gguf(HERE / "gguf/q4_0", gguf.GGMLQuantizationType.Q4_0)
    write_gguf(HERE / "gguf/bf16", gguf.GGMLQuantizationType.BF16)

    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [16, 24]},
    }
    content = (24).to_bytes(8, "little") + json.dumps(header).encode()
    (HERE / "safetensors_header/two").write_bytes(content)
    weight_map = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    write_json("safetensors_index", "two", {"metadata": {}, "weight_map": weight_map})

    write_json("config_json", "older", {**CONFIG, "rope_theta": 1e6, "rope_scaling": None})
    newer = {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}
    write_json("config_json", "newer", {**CONFIG, **newer, "layer_types": ["full_attention"]})

    gptq = {"bits": 4, "group_size": 128, "desc_act": False, "sym": True}
    write_json("quantize_config_json", "gptq", gptq)
    newer = {"quant_method": "gptq", "checkpoint_format": "gptq_v2", "pack_dtype": "int32", "dynamic": {}}
    write_json("quantize_config_json", "gptq_v2", {**gptq, **newer})
    awq = {"quant_method": "awq", "bits": 4, "group_size": -1, "version": "gemm", "zero_point": True}
    write_json("quantize_config_json", "awq", awq)

    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated"}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    letters = [chr(n) for n in [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]]
    vocab = {text: number for number, text in enumerate([*letters, "ab"])}
    for name, merges in (("joined", ["a b"]), ("pairs", [["a", "b"]])):
        write_json("tokenizer_json", name, {
            "added_tokens": [{"id": 257, "content": "<|im_end|>", "special": True}],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "model": {
                "type": "BPE",
                "vocab": vocab,
                "merges": merges,
            },
        })

    added = {"added_tokens_decoder": {"257": {"content": "<|im_end|>", "special": True}}}
    for name, version in (("versioned", "#version: 0.2\n"), ("plain", "")):
        files = (json.dumps(vocab), f"{version}a b\n", json.dumps(added))
        (HERE / "vocab_and_merges" / name).write_bytes("\0".join(files).encode())

    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    (HERE / "chat_template/chatml").write_text(template, encoding="utf-8")
    other = (
        "{%- if messages[0].role == 'system' %}{% set s = messages[0]['content'] | trim %}{% endif -%}"
        "{% macro f(x) %}{{ x | upper }}{% endmacro %}{% set ns = namespace(n=0) %}"
        "{% for m in messages[1:] if m.role != 'tool' %}{% set ns.n = ns.n + loop.index0 %}"
        "{{ f(m.content.split('>')[-1]) ~ (m | tojson) }}{% endfor %}{{ raise_exception('x') }}"
    )
    (HERE / "chat_template/other").write_text(other, encoding="utf-8")

    write_answers()
    write_attached_files()
    write_imports()


def write_imports() -> None:
    """Files of conversations of each program."""

    def said(parent: str | None, role: str, content: dict | str) -> dict:
        return {"parent": parent, "message": {"author": {"role": role}, "content": content}}

    mapping = {
        "r": {"message": None},
        "s": said("r", "system", {"parts": ["rules"]}),
        "q": said("s", "user", {"content_type": "multimodal_text", "parts": ["hi", {"content_type": "image"}]}),
        "t": said("q", "assistant", {"content_type": "thoughts", "thoughts": [{"summary": "S", "content": "hm"}]}),
        "c": said("t", "tool", {"content_type": "code", "text": "f()"}),
        "a": said("c", "assistant", {"content_type": "text", "parts": ["x", "y"]}),
        "b": said("t", "assistant", {"content_type": "text", "parts": ["z"]}),
    }
    chatgpt = {"title": "T", "create_time": 1700000000.5, "current_node": "a", "mapping": mapping}
    messages = {
        "a": {"parentId": None, "role": "user", "content": "hi", "timestamp": 1700000000},
        "b": {"parentId": "a", "role": "assistant", "content": "x", "reasoning_content": "hm", "model": "m"},
    }
    chat = {"params": {"system": "rules"}, "history": {"currentId": "b", "messages": messages}}
    listed = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"text": "hi"}], "files": [1]}]
    message = {"id": "1", "parent": None, "role": "assistant", "state": "writing", "text": "x", "thinking": "hm"}
    message |= {"tokens": [1, 2], "parameters": {"seed": 1}, "usage": {"prompt_tokens": 1}, "created_ms": 1}
    conversation = {"id": "c", "title": "T", "title_source": "model", "leaf": "1", "messages": [message]}
    conversation |= {"parameters": {"top_p": 0.5}, "created_ms": 1, "updated_ms": 2}
    files = {
        "chatgpt": [chatgpt],
        "open_webui": [{"title": "T", "created_at": 1700000000, "pinned": True, "chat": chat}],
        "open_webui_old": {"chat": {"messages": listed}},
        "banter": {"format": "banter", "version": 1, "conversations": [conversation]},
    }
    (HERE / "import_file").mkdir(exist_ok=True)
    for name, file in files.items():
        (HERE / "import_file" / name).write_text(json.dumps(file, separators=(",", ":")), encoding="utf-8")


def write_answers() -> None:
    """Bodies of answers, each behind the length of its pieces."""
    text = {"choices": [{"index": 0, "delta": {"content": "ab"}, "finish_reason": None}]}
    thought = {"choices": [{"delta": {"reasoning_content": "hm", "content": [{"type": "text", "text": "c"}]}}]}
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    chunks = [json.dumps(chunk) for chunk in (text, thought, end)]
    events = ": ping\r\n\r\n" + "".join(f"data: {chunk}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    failed = f'data: {chunks[0]}\nevent: error\ndata: {{"message": "out of memory"}}\n\n'
    whole = {"object": "chat.completion", "choices": [{"message": {"content": "ab \ud83c\udf0d"}, "finish_reason": "length"}]}
    refused = {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
    bodies = {
        "events": events,
        "failed": failed,
        "lines": "\n".join(chunks),
        "list": f"[{','.join(chunks)}]",
        "whole": json.dumps(whole, indent=1),
        "refused": json.dumps(refused),
        "page": "<html><title>502 Bad Gateway</title></html>",
    }
    (HERE / "engine_answer").mkdir(exist_ok=True)
    for name, body in bodies.items():
        (HERE / "engine_answer" / name).write_bytes(b"\x03" + body.encode())


def write_attached_files() -> None:
    """A message with files in front of its text."""
    files = "File: a.py\n```python\nprint(1)\n```\n\nFile: 报告.md\n````markdown\n```\nx\n```\n````"
    messages = {"only_files": files, "text": f"{files}\n\nWhy?", "like_a_file": f"{files}\n\n\nFile: b\n```\ny\n```"}
    (HERE / "attached_files").mkdir(exist_ok=True)
    for name, message in messages.items():
        (HERE / "attached_files" / name).write_text(message, encoding="utf-8")


if __name__ == "__main__":
    main()
