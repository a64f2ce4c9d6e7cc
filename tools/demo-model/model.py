"""Qwen2 in PyTorch: what is trained, and what the exported file must compute.

Shapes: B rows, T positions, H heads, D values per head.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Shape:
    """Sizes of a Qwen2 model. Hidden and feed-forward are multiples of 256, so every block format fits."""

    vocabulary: int
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 768
    rope_base: float = 10_000.0
    rms_eps: float = 1e-6
    context: int = 2048

    @property
    def head_dim(self) -> int:
        return self.hidden // self.heads


class Attention(nn.Module):
    """Grouped-query attention with biases on q, k and v."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.q = nn.Linear(shape.hidden, shape.hidden)
        self.k = nn.Linear(shape.hidden, shape.kv_heads * shape.head_dim)
        self.v = nn.Linear(shape.hidden, shape.kv_heads * shape.head_dim)
        self.o = nn.Linear(shape.hidden, shape.hidden, bias=False)

    @torch.no_grad()
    def look_back(self, strength: float = 5.5):
        """Sets the biases of the first heads so that they begin by looking at the previous token, and at the one before.

        RoPE turns the biases of q and k, which are the same at every position, into a preference for one distance. Copying needs heads like these
        (what followed this token before?) and takes millions of tokens to find them when all biases begin at zero.
        """
        half, quarter = self.shape.head_dim // 2, self.shape.head_dim // 4
        angles = self.shape.rope_base ** (-torch.arange(quarter) / half)  # the fast half: the slow one hardly tells neighbours apart
        self.k.bias[:quarter] = strength
        for head in range(self.shape.heads // self.shape.kv_heads):
            at = head * self.shape.head_dim
            self.q.bias[at : at + quarter] = strength * ((head + 1) * angles).cos()
            self.q.bias[at + half : at + half + quarter] = -strength * ((head + 1) * angles).sin()

    def forward(self, x, rope, mask, past=None):
        rows, length, _ = x.shape
        split = lambda y, heads: y.view(rows, length, heads, self.shape.head_dim).transpose(1, 2)
        q, k, v = rotate(split(self.q(x), self.shape.heads), rope), rotate(split(self.k(x), self.shape.kv_heads), rope), split(self.v(x), self.shape.kv_heads)
        if past is not None:
            k, v = (torch.cat(pair, 2) for pair in zip(past, (k, v))) if past else (k, v)
        group = self.shape.heads // self.shape.kv_heads
        out = F.scaled_dot_product_attention(q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), attn_mask=mask)
        return self.o(out.transpose(1, 2).reshape(rows, length, -1)), (k, v)


class Layer(nn.Module):
    """Attention and a gated feed-forward, each behind its norm."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.hidden, eps=shape.rms_eps)
        self.attention = Attention(shape)
        self.feed_forward_norm = nn.RMSNorm(shape.hidden, eps=shape.rms_eps)
        self.gate = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.up = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x, rope, mask, past=None):
        attended, kept = self.attention(self.attention_norm(x), rope, mask, past)
        x = x + attended
        y = self.feed_forward_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y)), kept


class Model(nn.Module):
    """Embedding, layers, norm; the head is the embedding."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.rms_eps)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = (2 * shape.layers) ** -0.5 if name.endswith(("o.weight", "down.weight")) else 1.0
                nn.init.normal_(parameter, std=0.02 * scale)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.layers[0].attention.look_back()

    def hidden(self, ids, positions, mask, past=None):
        """Hidden states after the last norm [B, T, hidden]; with `past` (a list per layer, extended in place) only new positions are computed."""
        rope = rope_table(self.shape, positions)
        x = self.embedding(ids)
        for index, layer in enumerate(self.layers):
            x, kept = layer(x, rope, mask, None if past is None else past[index])
            if past is not None:
                past[index] = kept
        return self.norm(x)

    def logits(self, hidden):
        """Scores of the vocabulary for hidden states."""
        return hidden @ self.embedding.weight.T


def rope_table(shape: Shape, positions):
    """Cosine and sine for positions [B, T]."""
    half = shape.head_dim // 2
    angles = positions[..., None].float() * shape.rope_base ** (-torch.arange(half) / half)
    return angles.cos()[:, None], angles.sin()[:, None]


def rotate(x, rope):
    """Rotary positions in NEOX order: the first half of a head with the second."""
    cos, sin = rope
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


@torch.no_grad()
def generate(model: Model, prompts: list[list[int]], end: int, limit: int = 1024) -> list[list[int]]:
    """Greedy answers to prompts of any lengths, all rows together, without their end token."""
    model.eval()
    width = max(map(len, prompts))
    ids = torch.tensor([[end] * (width - len(p)) + p for p in prompts])
    real = torch.tensor([[False] * (width - len(p)) + [True] * len(p) for p in prompts])
    positions = (real.cumsum(1) - 1).clamp(min=0)
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    mask = (causal & real[:, None, :]) | torch.eye(width, dtype=torch.bool)
    past = [() for _ in model.layers]
    hidden = model.hidden(ids, positions, mask[:, None], past)[:, -1]
    answers, live = [[] for _ in prompts], list(range(len(prompts)))
    position, limit = positions[:, -1] + 1, min(limit, model.shape.context - width)
    for _ in range(limit):
        chosen = model.logits(hidden).argmax(-1)
        kept = [at for at, token in enumerate(chosen.tolist()) if token != end]
        for at in kept:
            answers[live[at]].append(chosen[at].item())
        if not kept:
            break
        if len(kept) < len(live):
            live = [live[at] for at in kept]
            chosen, position, real = chosen[kept], position[kept], real[kept]
            past = [(k[kept], v[kept]) for k, v in past]
        real = torch.cat((real, torch.ones(len(live), 1, dtype=torch.bool)), 1)
        hidden = model.hidden(chosen[:, None], position[:, None], real[:, None, None], past)[:, -1]
        position = position + 1
    else:
        for at in live:
            answers[at].append(end)  # marks an answer that ran into the limit
    return answers
