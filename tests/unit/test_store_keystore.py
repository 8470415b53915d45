from __future__ import annotations

import json
import stat
import time

import eth_keyfile
import pytest

from attestrain.errors import FormatError, UsageError
from attestrain.record.keys import SigningKey
from attestrain.record.note import LogKey
from attestrain.store.keystore import load_key, load_log_key, save_key, save_log_key

KEY = SigningKey(bytes(31) + b"\x01")
PASSPHRASE = "correct horse \N{SNOWMAN}"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "key.json"
    save_key(path, KEY, PASSPHRASE, light=True)
    return path


def edit(path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_keys_read_back(path):
    assert load_key(path, PASSPHRASE).to_bytes() == KEY.to_bytes()


def test_the_standard_stretches_as_much_as_geth(tmp_path):
    save_key(tmp_path / "standard.json", KEY, PASSPHRASE)
    assert json.loads((tmp_path / "standard.json").read_text())["crypto"]["kdfparams"]["n"] == 262_144


def test_log_keys_read_back(tmp_path):
    key = LogKey.generate("example.com/log")
    save_log_key(tmp_path / "log.json", key, PASSPHRASE, light=True)
    assert load_log_key(tmp_path / "log.json", PASSPHRASE).to_bytes() == key.to_bytes()
    edit(tmp_path / "log.json", lambda document: document.update(vkey=LogKey.generate("a").vkey))
    with pytest.raises(FormatError, match="another verifier key"):
        load_log_key(tmp_path / "log.json", PASSPHRASE)


def test_an_independent_implementation_reads_ours(path):
    assert eth_keyfile.extract_key_from_keyfile(str(path), PASSPHRASE.encode()) == KEY.to_bytes()


def test_we_read_an_independent_implementation(tmp_path):
    document = eth_keyfile.create_keyfile_json(KEY.to_bytes(), PASSPHRASE.encode(), kdf="scrypt", iterations=4096)
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    assert load_key(path, PASSPHRASE).address == KEY.address


def test_files_are_private_and_hold_no_secret(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KEY.to_bytes().hex() not in path.read_text()
    for mode in (0o640, 0o604, 0o660, 0o602, 0o601):
        path.chmod(mode)
        with pytest.raises(UsageError, match="open to others") as error:
            load_key(path, PASSPHRASE)
        assert error.value.hint == f"chmod 600 {path}"


def test_a_key_is_never_overwritten(path):
    before = path.read_bytes()
    with pytest.raises(UsageError, match="exists"):
        save_key(path, SigningKey.generate(), PASSPHRASE, light=True)
    assert path.read_bytes() == before


def test_wrong_passphrases_missing_files_and_folders(path, tmp_path):
    with pytest.raises(UsageError, match="wrong passphrase"):
        load_key(path, "other")
    with pytest.raises(UsageError, match="cannot be read"):
        load_key(tmp_path / "missing", PASSPHRASE)
    with pytest.raises(UsageError, match="cannot be written"):
        save_key(tmp_path / "missing" / "key", KEY, PASSPHRASE, light=True)


def test_the_address_must_be_the_keys_own(path):
    edit(path, lambda document: document.update(address="00" * 20))
    with pytest.raises(FormatError, match="another address"):
        load_key(path, PASSPHRASE)
    edit(path, lambda document: document.pop("address"))
    assert load_key(path, PASSPHRASE).address == KEY.address


@pytest.mark.parametrize(
    "parameters",
    [
        {"n": 2**40},
        {"n": 2**20},
        {"p": 2**30},
        {"r": 2**30},
        {"n": 2**18, "p": 64},
        {"n": 0},
        {"n": 1},
        {"n": 3},
        {"n": -4096},
        {"r": 0},
        {"p": 0},
        {"n": "4096"},
        {"p": True},
        {"dklen": 16},
        {"dklen": 2**31},
        {"salt": "zz"},
        {"salt": None},
    ],
)
def test_costly_and_impossible_parameters_are_refused_at_once(path, parameters):
    edit(path, lambda document: document["crypto"]["kdfparams"].update(parameters))
    start = time.process_time()
    with pytest.raises(FormatError):
        load_key(path, PASSPHRASE)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(version=4),
        lambda document: document.update(crypto=[]),
        lambda document: document.pop("crypto"),
        lambda document: document["crypto"].update(cipher="aes-128-cbc"),
        lambda document: document["crypto"].update(kdf="pbkdf2"),
        lambda document: document["crypto"].update(ciphertext="00" * 31),
        lambda document: document["crypto"].update(cipherparams={"iv": "00"}),
        lambda document: document["crypto"].update(mac="0"),
        lambda document: document["crypto"].pop("mac"),
    ],
)
def test_malformed_documents_are_refused(path, change):
    edit(path, change)
    with pytest.raises(FormatError):
        load_key(path, PASSPHRASE)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 16_000, b" " * 20_000])
def test_files_that_are_no_documents_are_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(FormatError):
        load_key(path, PASSPHRASE)


@pytest.mark.parametrize("field", ["ciphertext", "mac"])
def test_a_changed_byte_is_found(path, field):
    def flip(document):
        text = document["crypto"][field]
        document["crypto"][field] = f"{int(text[:2], 16) ^ 1:02x}" + text[2:]

    edit(path, flip)
    with pytest.raises(UsageError, match="wrong passphrase"):
        load_key(path, PASSPHRASE)
