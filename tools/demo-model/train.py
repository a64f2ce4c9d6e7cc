"""Trains the demo model on freshly generated conversations, until a time of day.

    python train.py --folder FOLDER --until 18:00             # goes on from FOLDER/last.pt if it is there
    python train.py --folder FOLDER --minutes 60 --from-gguf FILE   # starts from an exported file's weights

The learning rate follows the clock: a short warm-up, then constant, then falling in a straight line over the last part of the time.
"""

import argparse
import datetime
import pathlib
import signal
import time

import torch
import torch.nn.functional as F

from checkpoint import load, save
from export import read_model
from model import Model, Shape
from text.conversation import Writer
from text.heldout import HeldOut
from vocabulary import Vocabulary

ROWS = {256: 7, 640: 3}  # row width: rows in a step; a story with its question needs the wide ones. Small steps: many learn more than large ones here
MUON_RATE, ADAM_RATE, FLOOR = 6e-3, 5e-3, 0.02
WARM_UP_STEPS = 60
DRILL_STEPS = 350  # steps in which a new model sees nothing but drills, and learns to copy


class Batches:
    """Rows of whole conversations; a conversation never crosses a row and never sees its neighbour."""

    def __init__(self, seed: int, vocabulary: Vocabulary):
        self.drill, self.writer, self.vocabulary = 0.0, Writer(seed, HeldOut()), vocabulary
        self.waiting, self.rows = [], {width: [] for width in ROWS}

    def next(self):
        """Ids and targets [rows, T] (target -1: not learnt), positions [rows, T], mask [rows, 1, T, T]."""
        while True:
            for width, count in ROWS.items():
                if len(self.rows[width]) >= count:
                    batch, self.rows[width] = self.rows[width][:count], self.rows[width][count:]
                    return self._tensors(batch, width)
            self._fill_row()

    def _drill(self):
        """Random tokens, some of them said again: looking back for what followed a token is learnt here long before it is learnt from sentences.

        Never in the form of a conversation: that would teach to answer whatever is strange by repeating it.
        """
        rng, v = self.writer.rng, self.vocabulary
        among = rng.choice([[rng.randrange(v.pad) for _ in range(6)], range(v.pad)])  # with a few tokens alone, what followed one of them is not enough
        some = lambda least, most: [rng.choice(among) for _ in range(rng.randint(least, most))]
        said, before, between = some(2, 20), some(0, 12), some(0, 12)  # what stands around it keeps positions from giving the answer away
        return before + said + between + said, [False] * len(before + said + between + said[:1]) + [True] * (len(said) - 1)

    def _drill_row(self):
        width, row, used = min(ROWS), [], 0
        while used + len((sample := self._drill())[0]) <= width:
            row.append(sample)
            used += len(sample[0])
        self.rows[width].append(row)

    def _fill_row(self):
        """Packs one row: a random waiting conversation, then whatever still fits."""
        if self.writer.rng.random() < self.drill:
            return self._drill_row()
        while len(self.waiting) < 64:
            sample = self.vocabulary.training_row(self.writer.conversation())
            if len(sample[0]) <= max(ROWS):
                self.waiting.append(sample)
        self.waiting.sort(key=lambda sample: -len(sample[0]))
        row = [self.waiting.pop(self.writer.rng.randrange(len(self.waiting)))]
        width = next(width for width in ROWS if len(row[0][0]) <= width)
        room = width - len(row[0][0])
        for at, sample in enumerate(self.waiting):
            if len(sample[0]) <= room:
                room -= len(sample[0])
                row.append(sample)
                self.waiting[at] = None
        self.waiting = [sample for sample in self.waiting if sample is not None]
        self.rows[width].append(row)

    def _tensors(self, batch, width):
        ids = torch.full((len(batch), width), self.vocabulary.pad)
        targets, positions, owner = torch.full_like(ids, -1), torch.zeros_like(ids), torch.zeros_like(ids)
        for row, samples in enumerate(batch):
            at = 0
            for number, (sample, learnt) in enumerate(samples, 1):
                end = at + len(sample)
                ids[row, at:end] = torch.tensor(sample)
                targets[row, at : end - 1] = torch.where(torch.tensor(learnt[1:]), ids[row, at + 1 : end], -1)
                positions[row, at:end], owner[row, at:end] = torch.arange(end - at), number
                at = end
        same = owner[:, :, None] == owner[:, None, :]
        return ids, targets, positions, (same & torch.ones(width, width, dtype=torch.bool).tril())[:, None]


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are made orthogonal by a Newton-Schulz iteration.

    PyTorch's own computes that iteration in bfloat16, which takes twice as long as float32 on CPUs without matrix units.
    Source: Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """

    def __init__(self, parameters, lr: float, weight_decay: float, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(average, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)  # 0.2: the size of an AdamW step


def orthogonal(x):
    """The nearest matrix whose singular values are about 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def optimizers(model: Model) -> list:
    """Muon for the layers' matrices (it learns more from each token than AdamW), AdamW for embedding, norms and biases."""
    matrices = [p for name, p in model.layers.named_parameters() if p.dim() == 2]
    others = [p for name, p in model.named_parameters() if p.dim() == 1 or name == "embedding.weight"]
    return [
        Muon(matrices, lr=MUON_RATE, weight_decay=0.05),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def rate(progress: float, step: int, decay: float) -> float:
    """Part of the full learning rate, by the part of the time that is over."""
    falling = 1 - (progress - (1 - decay)) / decay * (1 - FLOOR) if progress > 1 - decay else 1.0
    return min(1.0, (step + 1) / WARM_UP_STEPS) * max(FLOOR, falling)


def loss_of(model: Model, batch):
    """Mean cross entropy over the tokens to be learnt; the head is computed for those alone."""
    ids, targets, positions, mask = batch
    learnt = targets >= 0
    return F.cross_entropy(model.logits(model.hidden(ids, positions, mask)[learnt]), targets[learnt])


def start(options, vocabulary: Vocabulary):
    """The model to go on with, its optimizers, and how far it is."""
    last = options.folder / "last.pt"
    if last.exists():
        model, saved = load(last)
        optimizer_list = optimizers(model)
        for optimizer, state in zip(optimizer_list, saved["optimizers"]):
            optimizer.load_state_dict(state)
        return model, optimizer_list, saved["step"], saved["tokens"]
    if options.from_gguf:
        model = read_model(options.from_gguf)
        return model, optimizers(model), DRILL_STEPS, 0
    torch.manual_seed(0)
    model = Model(Shape(vocabulary=len(vocabulary), layers=options.layers))
    return model, optimizers(model), 0, 0


def run(options):
    """Trains until the time is over, with a checkpoint every few minutes."""
    torch.set_flush_denormal(True)  # gradients this small carry nothing, and each costs the processor a hundredfold: a step takes a third less time
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary()
    model, optimizer_list, step, tokens = start(options, vocabulary)
    full_rates = [MUON_RATE, ADAM_RATE]
    batches = Batches(1_000 + step, vocabulary)
    begun = saved_at = time.time()
    schedule_begun = begun if options.began is None else options.began
    until = end_time(options, begun)
    mean_loss = None
    ending = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ending.append(True))  # ends after the step, with a checkpoint
    while time.time() < until and not ending:
        part = rate((time.time() - schedule_begun) / (until - schedule_begun), step, options.decay)
        for optimizer, full in zip(optimizer_list, full_rates):
            for group in optimizer.param_groups:
                group["lr"] = full * part
        batches.drill = 1.0 if step < DRILL_STEPS else options.drill
        batch = batches.next()
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizer_list:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step, tokens = step + 1, tokens + (batch[0] != vocabulary.pad).sum().item()
        mean_loss = loss.item() if mean_loss is None else 0.95 * mean_loss + 0.05 * loss.item()
        if step % 20 == 0:
            print(f"{datetime.datetime.now():%H:%M:%S} step {step} tokens {tokens / 1e6:.2f}M loss {mean_loss:.4f} rate {part:.3f}", flush=True)
        if time.time() - saved_at > 180:
            save(options.folder / "last.pt", model, optimizer_list, step, tokens)
            saved_at = time.time()
    save(options.folder / "last.pt", model, optimizer_list, step, tokens)


def end_time(options, now: float) -> float:
    """When training ends, in seconds since 1970."""
    if options.minutes:
        return now + 60 * options.minutes
    clock = datetime.datetime.combine(datetime.date.today(), datetime.time.fromisoformat(options.until))
    return clock.timestamp()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where checkpoints are kept, outside the repository")
    parser.add_argument("--until", help="time of day to end at, such as 18:00")
    parser.add_argument("--minutes", type=float, help="minutes to train, instead of --until")
    parser.add_argument("--began", type=float, help="when the schedule began (seconds since 1970), for a run that was broken off")
    parser.add_argument("--decay", type=float, default=0.4, help="last part of the time in which the learning rate falls")
    parser.add_argument("--from-gguf", type=pathlib.Path, help="an exported file whose weights to start from")
    parser.add_argument("--drill", type=float, default=0.08, help="part of the rows that drills copying, after the beginning, which does nothing else")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
