"""Writes a GGUF model as the folder that `transformers serve` reads: convert.py FOLDER FILE TARGET."""

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

source, name, target = sys.argv[1:]
AutoTokenizer.from_pretrained(source, gguf_file=name).save_pretrained(target)
config = GgufConfig(gguf_file=name, dequantize=True)
model = AutoModelForCausalLM.from_pretrained(source, gguf_file=name, quantization_config=config)
# What Qwen2.5-Instruct is published with; without it nothing is sampled, whatever a request says.
model.generation_config.update(
    do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05
)
model.save_pretrained(target)
