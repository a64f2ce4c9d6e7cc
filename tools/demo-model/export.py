"""Writes a checkpoint as a Q8_0 GGUF file, and reads such a file back to go on training.

    python export.py FOLDER/last.pt ../../crates/banter/assets/banter-demo.gguf
"""

import hashlib
import pathlib
import sys

import gguf
import numpy
import torch
from gguf.quants import dequantize, quantize

from checkpoint import load
from model import Model, Shape
from vocabulary import CONTROL, TEMPLATE, Vocabulary

NAME = "banter demo"
LICENCE = "apache-2.0"
DESCRIPTION = (
    "The small demo model of banter, trained from scratch on text that scripts generate. It knows a few dozen things in English and Chinese "
    "and says so when it does not know. It is not Qwen2.5; it only has that family's shape."
)
LAYER_NAMES = {
    "attention_norm.weight": "attn_norm.weight", "attention.q.weight": "attn_q.weight", "attention.q.bias": "attn_q.bias", "attention.k.weight": "attn_k.weight",
    "attention.k.bias": "attn_k.bias", "attention.v.weight": "attn_v.weight", "attention.v.bias": "attn_v.bias", "attention.o.weight": "attn_output.weight",
    "feed_forward_norm.weight": "ffn_norm.weight", "gate.weight": "ffn_gate.weight", "up.weight": "ffn_up.weight", "down.weight": "ffn_down.weight",
}


def stored_name(name: str) -> str:
    """The name of a parameter in the file."""
    if name.startswith("layers."):
        _, index, rest = name.split(".", 2)
        return f"blk.{index}.{LAYER_NAMES[rest]}"
    return {"embedding.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]


def write_model(model: Model, vocabulary: Vocabulary, path: pathlib.Path):
    """Matrices as Q8_0, vectors as F32, and everything a reader needs to talk to the model."""
    shape = model.shape
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_name(NAME)
    writer.add_license(LICENCE)
    writer.add_description(DESCRIPTION)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.rms_eps)
    _add_vocabulary(writer, vocabulary)
    for name, parameter in model.named_parameters():
        values = parameter.detach().float().numpy()
        if values.ndim == 1:
            writer.add_tensor(stored_name(name), values)
        else:
            writer.add_tensor(stored_name(name), quantize(values, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer, vocabulary):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary.tokens)
    ordinary = len(vocabulary) - len(CONTROL)
    writer.add_token_types([gguf.TokenType.NORMAL] * ordinary + [gguf.TokenType.CONTROL] * len(CONTROL))
    writer.add_token_merges([" ".join(pair) for pair in vocabulary.merges])
    writer.add_eos_token_id(vocabulary.end)
    writer.add_pad_token_id(vocabulary.pad)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def read_model(path: pathlib.Path) -> Model:
    """The model of an exported file, with the weights that the file really holds."""
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields[key].contents()
    model = Model(Shape(
        vocabulary=len(field("tokenizer.ggml.tokens")), hidden=field("qwen2.embedding_length"), layers=field("qwen2.block_count"), heads=field("qwen2.attention.head_count"),
        kv_heads=field("qwen2.attention.head_count_kv"), feed_forward=field("qwen2.feed_forward_length"), rope_base=field("qwen2.rope.freq_base"),
        rms_eps=field("qwen2.attention.layer_norm_rms_epsilon"), context=field("qwen2.context_length"),
    ))
    stored = {tensor.name: tensor for tensor in reader.tensors}
    for name, parameter in model.named_parameters():
        tensor = stored[stored_name(name)]
        values = numpy.array(dequantize(tensor.data, tensor.tensor_type), dtype=numpy.float32)
        parameter.data = torch.from_numpy(values.reshape(parameter.shape))
    return model


def digest(path: pathlib.Path) -> str:
    """The file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    checkpoint, path = map(pathlib.Path, sys.argv[1:3])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_model(load(checkpoint)[0], Vocabulary(), path)
    print(f"{path}: {path.stat().st_size} bytes, sha256 {digest(path)}")


if __name__ == "__main__":
    main()
