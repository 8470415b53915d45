"""A task of one's own: a small recurrent network that learns to add. Everything it needs is on this page."""

from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional

from attestrain.corpus.sources import Document
from attestrain.train.task import Task


class Sums(nn.Module):
    def __init__(self, vocab: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, vocab)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.gru(self.embedding(tokens))[0])


class SumsTask(Task):
    name = "sums"

    def build_model(self, config: Mapping[str, object]) -> nn.Module:
        return Sums(int(str(config["vocab"])), int(str(config.get("width", 64))))

    def loss(self, model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    def documents(self, config: Mapping[str, object]) -> Iterator[Document]:
        for a in range(100):
            yield Document(f"sums/{a:02}", "".join(f"{a}+{b}={a + b}\n" for b in range(100)).encode())
