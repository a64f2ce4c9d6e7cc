"""The text the demo model is trained on: a grammar, no downloaded word of it.

Reading order: `grammar` (templates), `noise` (how people really type), `words` (lists and invented words), then one
module per family of intents (`about`, `show`, `exact`, `memory`, `stories`, `unknown`), and `conversation`, which mixes them.

Absent on purpose: anything read from the network, and any sentence of `heldout/` (`conversation` drops those).
"""
