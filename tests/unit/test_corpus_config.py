from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from attestrain.corpus.config import CorpusConfig


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "text"},
        {"source": "builtin", "paths": ["a.txt"]},
        {"source": "web"},
        {"vocab": 1024},
        {"tokenizer": "bpe"},
        {"tokenizer": "bpe", "vocab": 70_000},
        {"salt": "00"},
        {"salt": "A" * 64},
        {"salt": "0" * 64 + "\n"},
        {"validation": "0.5"},
        {"test": "-0.1"},
        {"test": "NaN"},
        {"sequence_tokens": 0},
        {"shuffle": True},
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, object]):
    with pytest.raises(ValidationError):
        CorpusConfig.model_validate(fields)


def test_shares_are_decimals_without_rounding():
    config = CorpusConfig.model_validate({"validation": "0.05", "test": 0.1})
    assert (config.validation, config.test) == (Decimal("0.05"), Decimal("0.1"))
    assert config.model_dump(mode="json")["validation"] == "0.05"


def test_a_secret_salt_is_used_and_not_shown():
    salt = "ab" * 32
    config = CorpusConfig(salt=salt)
    assert (config.salt_kind, config.salt_bytes) == ("secret", bytes.fromhex(salt))
    assert salt not in repr(config)
    assert CorpusConfig().salt_bytes == bytes(32)
