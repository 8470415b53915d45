"""What a run file says about its data."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from attestrain.record.dataset import MAX_LABEL, MAX_SEQUENCE_TOKENS, MAX_VOCAB, PUBLIC_SALT, SaltKind

DEFAULT_MAX_BYTES = 1 << 30
"""Text read unless the run file allows more: building holds the corpus in memory about three times."""

MAX_SHARE = Decimal("0.3")
"""Largest share of validation or test: with both at 0.3, rounding up still leaves a document to train on."""


class CorpusConfig(BaseModel):
    """The ``[dataset]`` table: where text comes from and how it becomes a dataset.

    Shares are decimals, best written as strings ("0.05"): documents of record hold no floating-point numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["builtin", "slice", "text", "jsonl", "parquet"] = Field(
        "builtin",
        description="builtin: this Python's own standard library; slice: a frozen megabyte of it, equal everywhere; "
        "the others read `paths`",
    )
    paths: tuple[str, ...] = Field((), description="files, folders or globs for text, jsonl and parquet")
    field: str = Field("text", description="field (jsonl) or column (parquet) that holds the text")
    name: str | None = Field(None, min_length=1, max_length=MAX_LABEL)
    licence: str | None = Field(None, min_length=1, max_length=MAX_LABEL)
    origin: str | None = Field(None, min_length=1, max_length=MAX_LABEL, description="where the text comes from")
    sequence_tokens: int = Field(128, ge=1, le=MAX_SEQUENCE_TOKENS)
    tokenizer: Literal["bytes", "bpe"] = "bytes"
    vocab: int = Field(256, ge=256, le=MAX_VOCAB, description="most tokens that byte-pair encoding may learn")
    validation: Decimal = Field(Decimal("0.05"), ge=0, le=MAX_SHARE)
    test: Decimal = Field(Decimal("0.05"), ge=0, le=MAX_SHARE)
    salt: str = Field("public", pattern=r"^(public|[0-9a-f]{64})$", repr=False)
    max_bytes: int = Field(DEFAULT_MAX_BYTES, ge=1)

    @model_validator(mode="after")
    def _fits_together(self) -> CorpusConfig:
        if self.paths and self.source in ("builtin", "slice"):
            raise ValueError(f"source {self.source!r} takes no paths")
        if not self.paths and self.source not in ("builtin", "slice"):
            raise ValueError(f"source {self.source!r} needs paths")
        if self.tokenizer == "bytes" and self.vocab != 256:
            raise ValueError("the bytes tokenizer has a vocabulary of 256")
        if self.tokenizer == "bpe" and self.vocab == 256:
            raise ValueError("byte-pair encoding needs a vocabulary above its 256 bytes, such as 1024")
        return self

    @property
    def salt_kind(self) -> SaltKind:
        """What the manifest says about the salt."""
        return "public" if self.salt == "public" else "secret"

    @property
    def salt_bytes(self) -> bytes:
        """The dataset's salt, 32 bytes."""
        return PUBLIC_SALT if self.salt == "public" else bytes.fromhex(self.salt)
