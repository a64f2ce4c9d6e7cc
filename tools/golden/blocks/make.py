"""Writes random blocks of every stored type with what the `gguf` package decodes them to.

    pip install gguf numpy
    python tools/golden/blocks/make.py

One file per type in crates/kernels/src/blocks/golden/, little-endian:

    u32 count of blocks, the blocks, their values as f32,
    u32 count of blocks, values as f32, the blocks the package encodes them to

The second half is empty for the types that the package can only decode.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

TARGET = Path(__file__).parents[3] / "crates/kernels/src/blocks/golden"

# Where the 16-bit floats of a block stand; everything else is any bits at all.
SCALES = {
    Type.F16: [0],
    Type.BF16: [],
    Type.Q8_0: [0],
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}
ENCODED = [Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]


def random_blocks(kind: Type, count: int, random: np.random.Generator) -> np.ndarray:
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for place in SCALES[kind]:
        # Any finite 16-bit float, subnormal ones too: an exponent below 31.
        blocks[:, place + 1] &= np.where((blocks[:, place + 1] & 0x7C) == 0x7C, 0xBF, 0xFF).astype(np.uint8)
    if kind == Type.BF16:
        blocks[:, 1] &= np.where((blocks[:, 1] & 0x7F) == 0x7F, 0xBF, 0xFF).astype(np.uint8)
    return blocks


def random_values(count: int, random: np.random.Generator) -> np.ndarray:
    values = random.standard_normal(count).astype(np.float32)
    values[: count // 8] *= 1000.0
    values[count // 8 : count // 4] *= 1e-6
    values[count // 4 : count // 4 + 32] = 0.0
    return values


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    random = np.random.default_rng(20261123)
    for kind in SCALES:
        length, size = gguf.GGML_QUANT_SIZES[kind]
        count = max(4, 512 // length)
        blocks = random_blocks(kind, count, random)
        with np.errstate(over="ignore"):
            values = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        assert np.isfinite(values).all()
        content = count.to_bytes(4, "little") + blocks.tobytes() + values.tobytes()
        if kind in ENCODED:
            inputs = random_values(count * length, random).reshape(count, length)
            encoded = gguf.quants.quantize(inputs, kind)
            content += count.to_bytes(4, "little") + inputs.tobytes() + encoded.tobytes()
        else:
            content += (0).to_bytes(4, "little")
        (TARGET / f"{kind.name.lower()}.bin").write_bytes(content)


if __name__ == "__main__":
    main()
