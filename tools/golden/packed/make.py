"""Writes random packed matrices with what published dequantisers make of them.

    pip install -r tools/golden/packed/requirements.txt
    pip download --no-deps --no-binary :all: -d /tmp/packed gptqmodel==7.7.0 autoawq==0.2.9
    pip download --no-deps -d /tmp/packed auto-gptq==0.7.1
    python tools/golden/packed/make.py /tmp/packed            # writes the file
    python tools/golden/packed/make.py /tmp/packed --check    # compares instead

The packages want a GPU when they are imported, so the few functions that matter are taken out of
their archives as they are: GPTQModel's `dequantize_weight` and its conversion of format gptq to
gptq_v2, AutoAWQ's `dequantize_gemm`. AutoGPTQ's own layer, whose formats these are, must agree with
GPTQModel wherever a stored zero is not all ones, of which it has two opinions itself.

The file is crates/engine/tests/model_file/folders/packed.safetensors. Its metadata lists the cases:
the name of each, and the `quantization_config` of a folder with it. The tensors of a case are
NAME.qweight, NAME.qzeros, NAME.scales, NAME.g_idx, and NAME.expected: the weights [inputs, outputs],
computed in float32 and rounded to float16.
"""

import ast
import json
import sys
import tarfile
import types
import zipfile
from itertools import product
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

TARGET = Path(__file__).parents[3] / "crates/engine/tests/model_file/folders/packed.safetensors"
OUTPUTS = 8
# Inputs of a matrix, by group size: two groups each, and a group of no power of two.
INPUTS = {32: 64, 64: 128, 128: 256, -1: 96}


def source_of(archives: Path, package: str, member: str) -> str:
    """The text of one file in the archive of a package."""
    archive = next(archives.glob(f"{package}-*"))
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member).decode()
    with tarfile.open(archive) as sdist:
        name = next(name for name in sdist.getnames() if name.split("/", 1)[-1] == member)
        return sdist.extractfile(name).read().decode()


def functions(source: str, names: list[str], **globals_: object) -> dict[str, object]:
    """Functions and methods of a file by name, without running the rest of it."""
    nodes = [node for node in ast.walk(ast.parse(source)) if getattr(node, "name", None) in names]
    module = ast.Module(body=nodes, type_ignores=[])
    exec(compile(module, "extracted", "exec"), globals_)
    return globals_


class Published:
    """The dequantisers of the three packages."""

    def __init__(self, archives: Path) -> None:
        from typing import Any, Dict, List, Optional, Tuple, Type

        self.compared = 0
        typing = dict(Any=Any, Dict=Dict, List=List, Optional=Optional, Tuple=Tuple, Type=Type)
        anything = types.SimpleNamespace(info=types.SimpleNamespace(once=lambda *_: None))
        base = dict(t=torch, torch=torch, nn=torch.nn, BaseQuantLinear=object, log=anything, **typing)
        layers = source_of(archives, "gptqmodel", "gptqmodel/nn_modules/qlinear/__init__.py")
        names = ["dequantize_weight", "_dequantize_from_codes", "_torch_right_shift"]
        self.model = functions(layers, names, **base)
        model = source_of(archives, "gptqmodel", "gptqmodel/utils/model.py")
        self.convert = functions(model, ["convert_gptq_v1_to_v2_format_module"], **base)
        awq = source_of(archives, "autoawq", "awq/utils/packing_utils.py")
        self.awq = {}
        exec(awq, self.awq)
        old = source_of(archives, "auto_gptq", "auto_gptq/nn_modules/qlinear/qlinear_cuda.py")
        self.old = functions(old, ["QuantLinear"], torch=torch, nn=torch.nn,
                             math=__import__("math"), _autogptq_cuda_available=False, autogptq_cuda_64=None, autogptq_cuda_256=None)

    def gptq(self, tensors: dict, bits: int, is_v2: bool) -> torch.Tensor:
        shifts = torch.arange(0, 32, bits, dtype=torch.int32)
        layer = types.SimpleNamespace(
            planar=False, bits=bits, pack_factor=32 // bits, maxq=2**bits - 1,
            dequant_dtype=torch.int16, in_features=tensors["g_idx"].shape[0],
            wf_unsqueeze_zero=shifts.unsqueeze(0).unsqueeze(0),
            wf_unsqueeze_neg_one=shifts.unsqueeze(0).unsqueeze(-1),
            _init_wf_unsqueeze_buffers=lambda: None, qzero_format=lambda **_: None,
            qweight=tensors["qweight"], qzeros=tensors["qzeros"].clone(),
            scales=tensors["scales"].float(), g_idx=tensors["g_idx"],
        )
        layer._dequantize_from_codes = lambda *args, **named: (
            self.model["_dequantize_from_codes"](layer, *args, **named))
        if not is_v2:
            convert = self.convert["convert_gptq_v1_to_v2_format_module"]
            convert(module=layer, bits=bits, pack_dtype=torch.int32)
        return self.model["dequantize_weight"](layer)

    def auto_gptq(self, tensors: dict, bits: int, group_size: int) -> torch.Tensor:
        inputs = tensors["g_idx"].shape[0]
        layer = self.old["QuantLinear"](bits, group_size, inputs, OUTPUTS, False,
                                        weight_dtype=torch.float32)
        layer.autogptq_cuda_available = False
        for name in ["qweight", "qzeros", "g_idx"]:
            setattr(layer, name, tensors[name])
        layer.scales = tensors["scales"].float()
        return layer(torch.eye(inputs))


def words(shape: tuple[int, int], random: torch.Generator) -> torch.Tensor:
    values = torch.randint(-(2**31), 2**31, shape, generator=random, dtype=torch.int64)
    return values.to(torch.int32)


def scales(shape: tuple[int, int], random: torch.Generator) -> torch.Tensor:
    return (torch.rand(shape, generator=random) * 0.05 + 1e-4).half()


def repeated(bits: int, value: int) -> int:
    """A word of nothing but one value, as a signed integer."""
    word = sum(value << shift for shift in range(0, 32, bits))
    return word - 2**32 if word >= 2**31 else word


def gptq_case(published: Published, settings: tuple, random: torch.Generator) -> tuple[dict, dict]:
    bits, group_size, desc_act, sym, form = settings
    inputs = INPUTS[group_size]
    group = inputs if group_size == -1 else group_size
    groups = inputs // group
    runs = torch.arange(inputs, dtype=torch.int32) // group
    tensors = {
        "qweight": words((inputs * bits // 32, OUTPUTS), random),
        "qzeros": words((groups, OUTPUTS * bits // 32), random),
        "scales": scales((groups, OUTPUTS), random),
        "g_idx": runs[torch.randperm(inputs, generator=random)] if desc_act else runs,
    }
    if sym:
        middle = 2 ** (bits - 1) - (form == "gptq")
        tensors["qzeros"].fill_(repeated(bits, middle))
    expected = published.gptq(tensors, bits, form == "gptq_v2")
    if form == "gptq":
        compare_with_auto_gptq(published, tensors, settings, expected)
    if not desc_act:
        del tensors["g_idx"]  # As many published folders have it.
    config = {"quant_method": "gptq", "bits": bits, "group_size": group_size,
              "desc_act": desc_act, "sym": sym, "checkpoint_format": form}
    return tensors | {"expected": expected.half()}, config


def compare_with_auto_gptq(published: Published, tensors: dict, settings: tuple,
                           expected: torch.Tensor) -> None:
    """Where a stored zero is all ones, adding one carries in one package and not in the other."""
    bits, group_size = settings[:2]
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    stored = (tensors["qzeros"].unsqueeze(-1) >> shifts) & (2**bits - 1)
    is_clear = (stored != 2**bits - 1).all(-1).repeat_interleave(32 // bits, dim=1)
    is_clear = is_clear[tensors["g_idx"].long()]
    other = published.auto_gptq(tensors, bits, group_size)
    assert torch.equal(other[is_clear], expected[is_clear]), settings
    published.compared += int(is_clear.sum())


def awq_case(published: Published, group_size: int, sym: bool,
             random: torch.Generator) -> tuple[dict, dict]:
    inputs = INPUTS[group_size]
    group = inputs if group_size == -1 else group_size
    tensors = {
        "qweight": words((inputs, OUTPUTS // 8), random),
        "qzeros": words((inputs // group, OUTPUTS // 8), random),
        "scales": scales((inputs // group, OUTPUTS), random),
    }
    if sym:
        tensors["qzeros"].fill_(repeated(4, 8))
    expected = published.awq["dequantize_gemm"](
        tensors["qweight"], tensors["qzeros"], tensors["scales"].float(), 4, group)
    config = {"quant_method": "awq", "bits": 4, "group_size": group_size, "zero_point": not sym,
              "version": "gemm", "modules_to_not_convert": None}
    return tensors | {"expected": expected.half()}, config


def all_cases(published: Published) -> tuple[dict, list]:
    random = torch.Generator().manual_seed(20261126)
    tensors, cases = {}, []

    def add(name: str, case: tuple[dict, dict]) -> None:
        cases.append({"name": name, "quantization_config": case[1]})
        tensors.update({f"{name}.{key}": value.contiguous() for key, value in case[0].items()})

    booleans = [False, True]
    for settings in product([4, 8], INPUTS, booleans, booleans, ["gptq", "gptq_v2"]):
        bits, group_size, desc_act, sym, form = settings
        name = f"{form}-{bits}-{group_size}-{'act' if desc_act else 'runs'}-{'sym' if sym else 'asym'}"
        add(name, gptq_case(published, settings, random))
    for group_size, sym in product(INPUTS, booleans):
        add(f"awq-4-{group_size}-{'sym' if sym else 'asym'}",
            awq_case(published, group_size, sym, random))
    return tensors, cases


def main() -> None:
    published = Published(Path(sys.argv[1]))
    tensors, cases = all_cases(published)
    assert published.compared > 10_000, "too few weights that both packages agree on"
    if "--check" in sys.argv:
        written = load_file(TARGET)
        assert written.keys() == tensors.keys()
        assert all(torch.equal(written[name], tensor) for name, tensor in tensors.items())
        return
    save_file(tensors, TARGET, metadata={"cases": json.dumps(cases)})
    print(f"{len(cases)} cases, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
