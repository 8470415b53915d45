"""Readers of SEV-SNP evidence under arbitrary and mutated bytes: one family of errors, one spelling."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from attestrain.appraise.amd.certificate import Certificate
from attestrain.appraise.amd.chain import ENTRY, ROLES, AmdChain, read_pem
from attestrain.appraise.amd.der import INTEGER, OID, SEQUENCE, Der
from attestrain.appraise.amd.hcl import CLAIMS_BEGIN, HclEnvelope, appraise_hcl, is_hcl
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.product import PRODUCTS, Product
from attestrain.appraise.amd.report import FIELDS, SIGNED_SIZE, SIZE, SnpReport, is_snp
from attestrain.appraise.amd.tcb import Tcb
from attestrain.appraise.refused import Refused
from attestrain.attester.der import integer
from attestrain.errors import FormatError
from attestrain.record.digest import sha256
from tests.unit.snp_world import NOW, OPEN, Snp, chip, data, genuine, honest, pki

BYTE = st.integers(0, 255)
SPOTS = st.lists(st.tuples(st.integers(0, 4_000), BYTE), min_size=1, max_size=8)
CUTS = st.one_of(st.none(), st.integers(0, 3_000))


def mutated(original: bytes, spots: list[tuple[int, int]], cut: int | None) -> bytes:
    """``original`` with some bytes replaced, and perhaps cut short or longer by zeros."""
    changed = bytearray(original)
    for at, value in spots:
        changed[at % len(changed)] = value
    return bytes(changed) if cut is None else bytes(changed[:cut]).ljust(cut, b"\0")


@functools.cache
def listed() -> Snp:
    """An honest world with a revocation list."""
    world = honest()
    return world.but(chain=replace(world.chain, crl=pki().revocations(NOW, [5])))


@given(st.binary(max_size=2 * SIZE))
def test_arbitrary_bytes_are_refused(junk: bytes) -> None:
    world = listed()
    with pytest.raises(Refused):
        SnpReport.from_bytes(junk)
    with pytest.raises(Refused):
        HclEnvelope.from_bytes(junk)
    with pytest.raises(Refused):
        Certificate.from_der(junk, "it")
    with pytest.raises(Refused):
        world.but(chain=replace(world.chain, crl=junk)).judge()
    assert not is_snp(junk)
    assert not is_hcl(junk)


@given(SPOTS, CUTS)
@example([(0, 4)], None)
def test_a_mutated_report_is_refused(spots: list[tuple[int, int]], cut: int | None) -> None:
    world = listed()
    forged = mutated(world.report, spots, cut)
    assume(forged != world.report)
    with pytest.raises(Refused):
        world.but(report=forged).judge()


@given(SPOTS, CUTS, st.sampled_from(["leaf", "ask", "ark", "crl"]))
def test_a_mutated_certificate_or_list_is_refused(spots: list[tuple[int, int]], cut: int | None, part: str) -> None:
    world = listed()
    original = getattr(world.chain, part)
    forged = mutated(original, spots, cut)
    assume(forged != original)
    with pytest.raises(Refused):
        world.but(chain=replace(world.chain, **{part: forged})).judge()


@given(SPOTS, CUTS)
def test_a_mutated_envelope_is_refused_but_for_its_unsigned_header(
    spots: list[tuple[int, int]], cut: int | None
) -> None:
    world, original = genuine("genoa-azure"), data("genoa-azure.bin")
    forged = mutated(original, spots, cut)
    assume(forged[32:].rstrip(b"\0") != original[32:].rstrip(b"\0"))
    with pytest.raises(Refused):
        appraise_hcl(forged, world.chain, OPEN, world.at)


def enveloped(claims: bytes) -> bytes:
    """An envelope around other claims."""
    header = data("genoa-azure.bin")[:CLAIMS_BEGIN]
    sizes = [20 + len(claims), 1, 2, 1, len(claims)]
    return header[:-20] + b"".join(size.to_bytes(4, "little") for size in sizes) + claims


@given(st.binary(min_size=1, max_size=200))
@example(b"[" * 12_000)
@example(b'{"keys":[{"kid":"HCLAkPub","n":"AQ"}],"user-data":"","user-data":""}')
@example(b'{"keys":[{"kid":"HCLAkPub","n":"AQ"}],"user-data":""}')
@example(b'{"keys":[{"kid":"HCLAkPub","n":1}]}')
def test_claims_that_are_none_are_refused(claims: bytes) -> None:
    with pytest.raises(Refused, match=r"claims|user data"):
        HclEnvelope.from_bytes(enveloped(claims))


@given(st.sampled_from(sorted(FIELDS)), st.data())
def test_a_report_says_what_the_chip_wrote(name: str, draw: st.DataObject) -> None:
    assume(name not in ("version", "signature_algo", "key_info", "report_data"))
    value = draw.draw(st.binary(min_size=FIELDS[name][1], max_size=FIELDS[name][1]))
    values: dict[str, int | bytes] = {"version": 5, name: value}
    report = SnpReport.from_bytes(chip().report(bytes(64), **values))
    assert report.field(name) == value
    assert report.number(name) == int.from_bytes(value, "little")
    assert report.identity == sha256(report.data[:SIGNED_SIZE])
    assert is_snp(report.data)


@given(st.sampled_from(list(PRODUCTS.values())), st.lists(BYTE, min_size=5, max_size=5))
def test_a_tcb_survives_its_spelling(product: Product, versions: list[int]) -> None:
    tcb = Tcb(**dict(zip((name for name, _ in product.layout), versions, strict=False)))
    assert Tcb.from_bytes(tcb.to_bytes(product), product, "its") == tcb
    assert tcb.below(tcb) == ()


@given(st.integers(0, 2**160))
def test_integers_survive_der(number: int) -> None:
    reader = Der(integer(number), "it")
    assert reader.integer() == number
    reader.end()


@given(st.binary(max_size=40), st.sampled_from([INTEGER, OID, SEQUENCE]))
def test_what_der_reads_has_one_spelling(junk: bytes, tag: int) -> None:
    try:
        content, whole = Der(junk, "it").take(tag), Der(junk, "it").whole(tag)
    except Refused:
        return
    assert junk.startswith(whole)
    assert whole == bytes([tag, len(content)]) + content


@given(st.text(max_size=300).map(str.encode))
def test_any_text_is_read_as_pem_or_refused(text: bytes) -> None:
    try:
        assert read_pem(text) == ()
    except Refused:
        return


@given(st.binary(max_size=80), SPOTS)
def test_any_certificate_table_is_read_or_refused(junk: bytes, spots: list[tuple[int, int]]) -> None:
    names = [name for role in ROLES.values() for name in role]
    entries = b"".join(ENTRY.pack(name, at, at) for at, name in enumerate(names))
    for given_table in (junk, mutated(entries + bytes(24) + junk, spots, None)):
        try:
            chain = AmdChain.from_table(given_table)
        except Refused:
            continue
        assert all(part in given_table for part in (chain.leaf, chain.ask, chain.ark))


TABLES = st.dictionaries(
    st.sampled_from([*AmdPolicy.__dataclass_fields__, "other"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 2**33) | st.text(max_size=8) | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Genoa", "snp", "x"]), inner),
        max_leaves=6,
    ),
    max_size=4,
)


@given(TABLES)
def test_any_table_is_a_policy_or_malformed(table: dict[str, object]) -> None:
    try:
        policy = AmdPolicy.read(table)
    except FormatError:
        return
    assert "other" not in table
    assert all(
        getattr(policy, name) == getattr(AmdPolicy(), name) for name in AmdPolicy.__dataclass_fields__.keys() - table
    )
