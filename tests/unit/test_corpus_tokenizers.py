from __future__ import annotations

import os
import subprocess
import sys

import pytest

from attestrain.corpus.tokenizers import BpeTokenizer, ByteTokenizer, Tokenizer, describe, load_tokenizer, train_bpe
from attestrain.errors import FormatError, UsageError
from attestrain.record.dataset import TokenizerInfo
from attestrain.record.digest import sha256

TEXTS = [b"the cat sat on the mat, the cat\n" * 20, "größer als 10 €, naïve\t日本\x00\x7f".encode() * 5]


@pytest.fixture(scope="module")
def bpe() -> BpeTokenizer:
    return train_bpe(TEXTS, 290)


def test_bytes_are_their_own_tokens():
    everything = bytes(range(256))
    tokens = ByteTokenizer().encode(everything)
    assert tokens.tolist() == list(range(256))
    assert tokens.dtype == "int64"
    assert ByteTokenizer().decode(tokens) == everything


def test_bpe_shortens_and_restores(bpe: BpeTokenizer):
    for text in [*TEXTS, b"", b"unseen words <|endoftext|> \r\n", "\u00a0\u2028𝄞".encode()]:
        tokens = bpe.encode(text)
        assert bpe.decode(tokens) == text
        assert all(0 <= token < bpe.vocab for token in tokens)
    assert len(bpe.encode(TEXTS[0])) < len(TEXTS[0]) / 3
    assert bpe.vocab == 290


def test_bpe_restores_part_of_a_character(bpe: BpeTokenizer):
    tokens = bpe.encode("𝄞".encode())
    assert len(tokens) == 4
    assert bpe.decode(tokens[:2]) == "𝄞".encode()[:2]


def test_bpe_needs_utf8(bpe: BpeTokenizer):
    with pytest.raises(UsageError, match="not UTF-8") as caught:
        bpe.encode(b"\xff")
    assert "bytes" in str(caught.value.hint)
    with pytest.raises(UsageError, match="not UTF-8"):
        train_bpe([b"\xff"], 300)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_bpe_learns_the_same_file_in_another_process(bpe: BpeTokenizer, threads: str):
    program = (
        "from attestrain.corpus.tokenizers import train_bpe; from attestrain.record.digest import sha256;"
        f"print(sha256(train_bpe({TEXTS!r}, 290).file).hex())"
    )
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == sha256(bpe.file or b"").hex()


def test_tokenizers_load_from_what_the_manifest_says(bpe: BpeTokenizer):
    for tokenizer in (ByteTokenizer(), bpe):
        source: Tokenizer = tokenizer
        loaded = load_tokenizer(describe(source), source.file)
        assert loaded.encode(TEXTS[1]).tolist() == source.encode(TEXTS[1]).tolist()


def test_other_tokenizer_files_are_refused(bpe: BpeTokenizer):
    assert bpe.file is not None
    info = describe(bpe)
    for file in (None, b"", bpe.file + b" "):
        with pytest.raises(FormatError, match="not the one in the manifest"):
            load_tokenizer(info, file)
    with pytest.raises(FormatError, match="has 290 tokens"):
        load_tokenizer(TokenizerInfo("bpe", 301, info.file), bpe.file)


@pytest.mark.parametrize("file", [b"", b"{}", b"\xff", b"[1]"])
def test_what_is_no_tokenizer_is_a_format_error(file: bytes):
    with pytest.raises(FormatError, match="not a tokenizer file"):
        BpeTokenizer(file)


def test_a_tokenizer_over_characters_is_refused(bpe: BpeTokenizer):
    assert bpe.file is not None
    with pytest.raises(FormatError, match="not made of bytes"):
        BpeTokenizer(bpe.file.replace(rb"\u0120", rb"\u65e5"))
