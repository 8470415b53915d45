"""From documents to a dataset folder: split, tokenise, salt, hash, write; the same input always gives the same bytes.

Tokens of a split are its documents' tokens in name order with nothing in between: a byte corpus stays the very bytes
that went in, and 128-token sequences cross documents so rarely that a separator would teach nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from attestrain.corpus.config import CorpusConfig
from attestrain.corpus.dataset import (
    DOCUMENTS,
    MANIFEST,
    SALT,
    TOKENIZER,
    Dataset,
    leaves_file,
    read_manifest,
    tokens_file,
)
from attestrain.corpus.sources import Corpus, Document, collect, load_corpus
from attestrain.corpus.split import Splits, split_documents
from attestrain.corpus.tokenizers import ByteTokenizer, Tokenizer, describe, train_bpe
from attestrain.errors import FormatError, UsageError
from attestrain.record.blob import blob_ref
from attestrain.record.canonical import canonical
from attestrain.record.dataset import (
    SPLITS,
    DatasetManifest,
    SplitInfo,
    SplitName,
    derive_leaves,
    leaves_root,
    sequence_count,
    token_width,
)
from attestrain.record.digest import DIGEST_SIZE, sha256

DOCUMENTS_FORMAT = "attestrain.dev/documents@v1"


def build_dataset(config: CorpusConfig, folder: Path) -> DatasetManifest:
    """Build the dataset that ``config`` describes in ``folder``, or find it there already.

    Raises:
        UsageError: the source is unusable, too small, or ``folder`` holds another dataset.
        FormatError: a source file is malformed.
    """
    return _build(load_corpus(config), config, folder)


def build_from_documents(documents: Iterable[Document], config: CorpusConfig, folder: Path) -> DatasetManifest:
    """Build a dataset from documents that the caller supplies; ``config.source`` and ``config.paths`` play no part.

    This is the way in for a task with data of its own. Documents are bytes: any alphabet of up to 256 symbols can be
    given as such under the bytes tokenizer.

    Raises:
        UsageError: no documents, two of one name, too much or too little text, or ``folder`` holds another dataset.
    """
    corpus = Corpus(
        config.name or "corpus",
        config.licence or "unstated",
        config.origin or "documents of the run's task",
        collect(documents, config.max_bytes),
    )
    return _build(corpus, config, folder)


def _build(corpus: Corpus, config: CorpusConfig, folder: Path) -> DatasetManifest:
    splits = split_documents(corpus.documents, config.validation, config.test)
    tokenizer = _tokenizer(config, splits)
    files: dict[str, bytes] = {DOCUMENTS: _documents_json(splits)}
    infos = {name: _build_split(name, splits[name], tokenizer, config, files) for name in SPLITS}
    if tokenizer.file is not None:
        files[TOKENIZER] = tokenizer.file
    if config.salt_kind == "secret":
        files[SALT] = config.salt_bytes.hex().encode() + b"\n"
    manifest = DatasetManifest(
        name=corpus.name,
        licence=corpus.licence,
        source=corpus.source,
        salt=config.salt_kind,
        tokenizer=describe(tokenizer),
        sequence_tokens=config.sequence_tokens,
        documents=blob_ref(files[DOCUMENTS]),
        train=infos["train"],
        validation=infos["validation"],
        test=infos["test"],
    )
    _store(folder, manifest, files)
    return manifest


def _tokenizer(config: CorpusConfig, splits: Splits) -> Tokenizer:
    if config.tokenizer == "bytes":
        return ByteTokenizer()
    return train_bpe((document.text for document in splits["train"]), config.vocab)


def _build_split(
    name: SplitName, documents: list[Document], tokenizer: Tokenizer, config: CorpusConfig, files: dict[str, bytes]
) -> SplitInfo:
    """Tokenise and hash one split, putting its two files into ``files``."""
    width = token_width(tokenizer.vocab)
    tokens = _tokenise(documents, tokenizer)
    sequences = sequence_count(len(tokens) // width, config.sequence_tokens)
    if not sequences and (name == "train" or documents):
        raise UsageError(
            f"the {name} split has {len(tokens) // width} tokens, too few for one sequence of "
            f"{config.sequence_tokens} and its target",
            hint="add text, lower dataset.sequence_tokens or change dataset.validation and dataset.test",
        )
    leaves = derive_leaves(config.salt_bytes, name, tokens, token_bytes=width, sequence_tokens=config.sequence_tokens)
    files[tokens_file(name)], files[leaves_file(name)] = tokens, leaves
    size = sum(len(document.text) for document in documents)
    return SplitInfo(leaves_root(leaves), len(leaves) // DIGEST_SIZE, blob_ref(tokens), len(documents), size)


def _tokenise(documents: list[Document], tokenizer: Tokenizer) -> bytes:
    """Token file of ``documents``. Byte-pair encoding takes each by itself, so no token crosses a boundary."""
    if tokenizer.kind == "bytes":
        return b"".join(document.text for document in documents)
    kind = np.dtype("<u1" if token_width(tokenizer.vocab) == 1 else "<u2")
    return b"".join(tokenizer.encode(document.text).astype(kind).tobytes() for document in documents)


def _documents_json(splits: Splits) -> bytes:
    """The list of documents: what a reader needs to see which text is in, and to repeat the split."""
    listed = [
        {"bytes": len(document.text), "name": document.name, "sha256": sha256(document.text).hex(), "split": split}
        for split in SPLITS
        for document in splits[split]
    ]
    return canonical({"format": DOCUMENTS_FORMAT, "documents": listed})


def _store(folder: Path, manifest: DatasetManifest, files: Mapping[str, bytes]) -> None:
    """Write what is missing or damaged, the manifest last: a folder with a manifest is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / MANIFEST).exists() and _digest_of(folder) != manifest.digest:
        raise UsageError(f"{folder} holds another dataset", hint="choose another folder or remove this one")
    for name, data in [*files.items(), (MANIFEST, canonical(manifest.to_json()))]:
        path = folder / name
        if not path.is_file() or path.stat().st_size != len(data) or path.read_bytes() != data:
            _write_atomic(path, data, mode=0o600 if name == SALT else 0o644)
    Dataset.open(folder)


def _digest_of(folder: Path) -> bytes | None:
    try:
        return read_manifest(folder).digest
    except FormatError:
        return None


def _write_atomic(path: Path, data: bytes, *, mode: int) -> None:
    """Replace ``path`` in one step, so that no reader and no crash ever sees half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
