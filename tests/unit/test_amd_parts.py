"""Parts of the SEV-SNP appraiser by themselves: DER, certificates' extensions, firmware versions, reports, policies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from attestrain.appraise.amd.certificate import BASIC_CONSTRAINTS, Certificate
from attestrain.appraise.amd.chain import ENTRY, AmdChain
from attestrain.appraise.amd.der import BOOLEAN, SEQUENCE, Der, oid
from attestrain.appraise.amd.endorsement import (
    AMD,
    FMC_VERSION,
    HARDWARE_ID,
    PRODUCT_NAME,
    PROVIDER,
    RESERVED,
    STRUCTURE,
    VERSIONS,
    Endorsement,
)
from attestrain.appraise.amd.policy import MAX_VALUES, AmdPolicy
from attestrain.appraise.amd.product import GENOA, MILAN, PRODUCTS, TURIN
from attestrain.appraise.amd.report import FIELDS, SIGNED_SIZE, SIZE, SnpReport, is_snp
from attestrain.appraise.amd.report import RESERVED as RESERVED_BYTES
from attestrain.appraise.amd.tcb import Tcb
from attestrain.appraise.refused import Refused
from attestrain.attester.der import ascii_text, integer
from attestrain.errors import FormatError, UsageError
from attestrain.record.digest import Digest, sha256
from tests.unit.snp_world import DATA, NOW, chip, data, honest, pki


@pytest.mark.parametrize(
    ("spelled", "read"),
    [
        ("02020001", Der.integer),
        ("020180", Der.integer),
        ("0200", Der.integer),
        ("02810101", Der.integer),
        ("0282000101", Der.integer),
        ("0280010000", Der.integer),
        ("0283000001aa", Der.integer),
        ("0205", Der.integer),
        ("02", Der.integer),
        ("", Der.integer),
        ("030107", Der.bits),
        ("0300", Der.bits),
        ("010101", Der.boolean),
        ("010100", Der.boolean),
    ],
)
def test_der_that_is_not_der_is_refused(spelled: str, read: Callable[[Der], object]) -> None:
    with pytest.raises(Refused, match="it "):
        read(Der(bytes.fromhex(spelled), "it"))


def test_der_reads_lengths_of_one_to_three_bytes() -> None:
    for size in (0, 127, 128, 255, 256, 65_535):
        content = bytes(size)
        length = size.to_bytes(2, "big").lstrip(b"\0") or b"\0"
        head = bytes([size]) if size < 128 else bytes([0x80 | len(length)]) + length
        reader = Der(bytes([SEQUENCE]) + head + content, "it")
        assert reader.take(SEQUENCE) == content
        reader.end()


def test_object_identifiers_are_spelled_as_x690_asks() -> None:
    assert oid(f"{AMD}.3.8").hex() == "2b060104019c78010308"
    assert oid("2.5.29.19") == bytes([0x55, 29, 19]) == BASIC_CONSTRAINTS


def test_a_truth_value_may_only_be_true() -> None:
    assert Der(bytes([BOOLEAN, 1, 0xFF]), "it").boolean()


CHANGES: list[tuple[dict[bytes, bytes | None], str]] = [
    ({PRODUCT_NAME: ascii_text("Rome-B0")}, "names product Rome-B0"),
    ({PRODUCT_NAME: None}, "has no product name"),
    ({PRODUCT_NAME: ascii_text("")}, "no plain product name"),
    ({PRODUCT_NAME: ascii_text("Turin")}, "structure 0, not 1 as on Turin"),
    ({STRUCTURE: integer(1)}, "structure 1, not 0 as on Genoa"),
    ({HARDWARE_ID: None}, "has no hardware id or provider"),
    ({HARDWARE_ID: bytes(64)}, "names hardware 0000"),
    ({HARDWARE_ID: bytes([1] * 8)}, "not 64 bytes"),
    ({PROVIDER: ascii_text("CN=x")}, "both a chip and a provider"),
    ({VERSIONS["snp"]: None}, "has no snp version"),
    ({VERSIONS["snp"]: integer(256)}, "snp version 256, more than a byte"),
    ({VERSIONS["snp"]: integer(1) + b"\0"}, "1 bytes more than it should"),
    ({RESERVED[0]: integer(1)}, "a component without a meaning version 1"),
    ({FMC_VERSION: integer(1)}, "which Genoa does not have"),
    ({BASIC_CONSTRAINTS: b"\x30\0"}, "that of an authority"),
]


@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_a_chips_certificate_that_contradicts_itself_is_refused(change: dict[bytes, bytes | None], reason: str) -> None:
    leaf = Certificate.from_der(chip().chain.leaf, "leaf")
    assert Endorsement.of(leaf).chip == chip().chip
    extensions = {name: value for name, value in {**leaf.extensions, **change}.items() if value is not None}
    with pytest.raises(Refused, match=reason):
        Endorsement.of(replace(leaf, extensions=extensions))


def test_critical_extensions_of_a_chips_certificate_are_refused() -> None:
    leaf = Certificate.from_der(chip().chain.leaf, "leaf")
    with pytest.raises(Refused, match="critical"):
        Endorsement.of(replace(leaf, critical=frozenset([STRUCTURE])))


def test_processors_belong_to_one_product_each() -> None:
    models = {MILAN: (0x19, 0x01), GENOA: (0x19, 0x11), TURIN: (0x1A, 0x02)}
    for product, (family, model) in models.items():
        assert [item for item in PRODUCTS.values() if item.is_model(family, model)] == [product]
    assert GENOA.is_model(0x19, 0xA0)
    assert not any(item.is_model(0x17, 0x31) for item in PRODUCTS.values())


def test_a_tcb_has_its_bytes_where_the_product_has_them() -> None:
    tcb = Tcb(bootloader=1, tee=2, snp=3, microcode=4)
    assert tcb.to_bytes(GENOA).hex() == "0102000000000304"
    assert replace(tcb, fmc=9).to_bytes(TURIN).hex() == "0901020300000004"
    assert tcb.below(Tcb(snp=4, microcode=4)) == ("snp",)
    with pytest.raises(Refused, match="mean nothing on Genoa"):
        Tcb.from_bytes(bytes([0, 0, 1, 0, 0, 0, 0, 0]), GENOA, "current")


@pytest.mark.parametrize("version", [0, 1, 4, 6])
def test_reports_of_other_versions_are_refused(version: int) -> None:
    report = chip().report(bytes(64), version=version)
    assert not is_snp(report)
    with pytest.raises(Refused, match=f"version {version}, not one of 2, 3, 5"):
        SnpReport.from_bytes(report)


@pytest.mark.parametrize(("begin", "end"), RESERVED_BYTES)
def test_reserved_bytes_are_zero_even_if_a_chip_signs_others(begin: int, end: int) -> None:
    report = bytearray(chip().report(bytes(64), version=5))
    report[end - 1] = 1
    with pytest.raises(Refused, match="reserved and not zero"):
        SnpReport.from_bytes(chip().sign(bytes(report)))


@pytest.mark.parametrize(
    ("version", "field"), [(2, "cpuid_model"), (2, "current_mitigations"), (3, "launch_mitigations")]
)
def test_fields_of_later_versions_are_reserved_in_earlier_ones(version: int, field: str) -> None:
    values: dict[str, int | bytes] = {"cpuid_family": 0, "cpuid_model": 0} if version == 2 else {}
    assert SnpReport.from_bytes(chip().report(bytes(64), **{**values, "version": version}))
    with pytest.raises(Refused, match="reserved and not zero"):
        SnpReport.from_bytes(chip().report(bytes(64), **{**values, "version": version, field: 1}))


def test_fields_and_reserved_bytes_make_up_what_is_signed() -> None:
    sizes = sum(size for _, size in FIELDS.values()) + sum(end - begin for begin, end in RESERVED_BYTES)
    assert sizes == SIGNED_SIZE


@pytest.mark.parametrize(
    ("name", "value", "reason"), [("signature_algo", 2, "algorithm 2"), ("key_info", 1 << 5, "0x20")]
)
def test_unknown_algorithms_and_keys_are_refused(name: str, value: int, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        SnpReport.from_bytes(chip().report(bytes(64), **{name: value}))


def test_report_data_have_64_bytes() -> None:
    assert len(chip().report(bytes(64))) == SIZE
    with pytest.raises(UsageError, match="63 bytes are not 64"):
        chip().report(bytes(63))


def test_a_chain_takes_what_amd_answers() -> None:
    text = data("ask_ark_genoa.pem")
    chain = AmdChain.read(data("genoa-azure.pem"), text)
    assert AmdChain.read(chain.leaf, text) == chain
    assert sha256(chain.ark) == GENOA.root
    for leaf, issuers in ((text, text), (chain.leaf, data("genoa-azure.pem")), (b"", text), (b"\xff", text)):
        with pytest.raises(Refused, match=r"certificates are given|cannot be read"):
            AmdChain.read(leaf, issuers)


def table(*entries: tuple[str, bytes], end: bytes = bytes(24)) -> bytes:
    """A certificate table as a host lays it out."""
    offset = 24 * len(entries) + len(end)
    heads, bodies = b"", b""
    for name, content in entries:
        heads += ENTRY.pack(UUID(name).bytes, offset + len(bodies), len(content))
        bodies += content
    return heads + end + bodies


VCEK, VLEK = "63da758d-e664-4564-adc5-f4b93be8accd", "a8074bc2-a25a-483e-aae6-39c045a0b8a1"
ASK, ARK, OTHER = (
    "4ab7b379-bbac-4fe4-a02f-05aef327c782",
    "c0b406a4-a803-4952-9743-3fb6014cd0ae",
    "ecae0c0f-9502-43b1-afa2-0ae2e0d565b6",
)


@pytest.mark.parametrize("leaf", [VCEK, VLEK])
def test_a_chain_is_read_from_a_hosts_certificate_table(leaf: str) -> None:
    chain = chip().chain
    given = table((ARK, chain.ark), (OTHER, b"more"), (leaf, chain.leaf), (ASK, chain.ask))
    assert AmdChain.from_table(given) == chain
    assert AmdChain.from_table(given + bytes(4_096)) == chain


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "ends without an entry of zeros"),
        (bytes(24), "has no VCEK or VLEK and no ASK and no ARK"),
        (table((VCEK, b"1"), (ASK, b"2")), "has no ARK: AMD's service has them"),
        (table((ASK, b"1"), (ASK, b"2")), "twice"),
        (table((ASK, b"1"), end=b""), "ends without an entry of zeros"),
        (table((ASK, b"1"))[:-1], "names bytes up to 49"),
        (ENTRY.pack(UUID(ASK).bytes, 2**32 - 1, 2**32 - 1) + bytes(24), "names bytes up to 8589934590"),
        (bytes(32_769), "more than 32768"),
        (b"".join(ENTRY.pack(bytes([at + 1]) * 16, 0, 0) for at in range(16)) + bytes(24), "more than 15 entries"),
    ],
)
def test_a_malformed_certificate_table_is_refused(given: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        AmdChain.from_table(given)


def test_every_file_of_genuine_evidence_has_its_source() -> None:
    text = (DATA / "README.md").read_text()
    for path in DATA.iterdir():
        family = "ask_ark" if path.name.startswith("ask_ark") else path.stem
        assert path.name == "README.md" or family in text, path.name


TABLE: dict[str, object] = {
    "products": ["Turin", "Milan"],
    "roots": ["11" * 32],
    "hardware": False,
    "minimum": {"Genoa": {"bootloader": 10, "tee": 0, "snp": 27, "microcode": 86}},
    "vmpl": 1,
    "smt": False,
    "platform": ["alias-check", "ecc"],
    "providers": ["CN=x"],
    "author_keys": ["22" * 48],
    "id_keys": ["33" * 48],
    "measurements": ["44" * 48, "55" * 48],
    "host_data": [],
    "guest_svn": 2,
    "chips": ["66" * 64, "77" * 8],
    "crl": True,
}


def test_a_policy_reads_from_a_table_and_has_safe_defaults() -> None:
    policy = AmdPolicy.read(TABLE)
    assert TABLE.keys() == set(AmdPolicy.__dataclass_fields__)
    assert policy.products == ("Turin", "Milan")
    assert policy.roots == (Digest(b"\x11" * 32),)
    assert policy.minimum == {"Genoa": Tcb(bootloader=10, snp=27, microcode=86)}
    assert policy.measurements == (b"\x44" * 48, b"\x55" * 48)
    assert policy.chips == (b"\x66" * 64, b"\x77" * 8)
    assert AmdPolicy.read({}) == AmdPolicy()
    assert "Milan" not in AmdPolicy().products


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("product", ["Turin"]),
        ("products", ["Rome"]),
        ("products", "Turin"),
        ("products", [["Turin"]]),
        ("roots", ["11" * 31]),
        ("roots", [11]),
        ("measurements", ["AA" * 48]),
        ("measurements", ["a a" + "11" * 47]),
        ("measurements", ["11" * 48] * (MAX_VALUES + 1)),
        ("chips", ["11" * 32]),
        ("minimum", {"Genoa": {"snp": 3}}),
        ("minimum", {"Rome": {}}),
        ("minimum", {"Genoa": {"bootloader": 256, "tee": 0, "snp": 0, "microcode": 0}}),
        ("vmpl", 4),
        ("vmpl", True),
        ("guest_svn", -1),
        ("smt", 1),
        ("crl", "yes"),
        ("providers", [""]),
        ("providers", [3]),
        ("platform", ["alias"]),
    ],
)
def test_a_table_with_a_wrong_value_is_refused(name: str, value: object) -> None:
    with pytest.raises(FormatError, match=r"policy\.amd"):
        AmdPolicy.read({name: value})


def test_every_simulated_chip_has_a_key_of_its_own_and_says_what_it_is() -> None:
    other = pki().provision(NOW)
    assert other.chip != chip().chip
    assert other.chain.ark == chip().chain.ark
    for part in (other.chain.leaf, other.chain.ask, other.chain.ark):
        assert b"DEVELOPMENT ONLY" in Certificate.from_der(part, "it").subject
    assert honest(other).judge().identity != honest().judge().identity
