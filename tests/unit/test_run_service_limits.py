"""Bounds on rates, bytes and counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.errors import FormatError, UsageError
from attestrain.record.names import Address, Worker
from attestrain.record.transcript import Log
from attestrain.run.service.auth import Denied
from attestrain.run.service.clerk import read_report
from attestrain.run.service.feed import Entries, Feed, Tail
from attestrain.run.service.limits import (
    MAX_ACCOUNTS,
    MAX_ANSWER,
    MAX_DOCUMENTS,
    MAX_LETTERS,
    MAX_POLLS_PER_PEER,
    ROUNDS_OF_SLACK,
    Rates,
    largest_blob,
    round_allowance,
)
from attestrain.run.service.mailbox import Busy, Mailbox
from attestrain.run.service.members import Member, Members
from attestrain.run.service.quota import Quota
from tests.attacks.world import tiny_spec

ACCOUNT, OTHER = Address("0x" + "11" * 20), Address("0x" + "22" * 20)


@given(moments=st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_a_bucket_never_gives_more_than_its_burst_and_what_came_back(moments: list[float]) -> None:
    now = 0.0
    rates, given_ = Rates(2.0, 5.0, clock=lambda: now), 0
    for moment in moments:
        now += moment
        given_ += rates.take("peer") == 0
    assert given_ <= 5 + 2 * now + 1e-6


def test_a_bucket_says_when_to_come_back_and_keeps_its_word() -> None:
    now = 0.0
    rates = Rates(4.0, 1.0, clock=lambda: now)
    assert rates.take("peer") == 0
    wait = rates.take("peer")
    assert wait == pytest.approx(0.25)
    now += wait
    assert rates.take("peer") == 0
    assert rates.take("another") == 0


def test_only_so_many_peers_are_remembered() -> None:
    rates = Rates(1.0, 1.0, most=10)
    for number in range(1000):
        rates.take(f"peer-{number}")
    assert len(rates._buckets) == 10


def test_an_account_stores_what_the_rounds_allow_and_no_more() -> None:
    rounds = 0
    quota = Quota(100, lambda: rounds)
    with quota.blob(ACCOUNT, 100 * ROUNDS_OF_SLACK):
        pass
    with pytest.raises(Denied) as refusal, quota.blob(ACCOUNT, 1):
        raise AssertionError("let in")
    assert refusal.value.status == 413
    with quota.blob(OTHER, 1):
        pass
    rounds = 1
    with quota.blob(ACCOUNT, 100):
        pass


def test_what_does_not_come_is_given_back() -> None:
    quota = Quota(100, lambda: 0)
    for _ in range(10):
        with pytest.raises(FormatError), quota.blob(ACCOUNT, 150):
            raise FormatError("not that blob")
    for number in range(MAX_DOCUMENTS + 5):
        if number < MAX_DOCUMENTS:
            with quota.document(ACCOUNT):
                pass
        else:
            with pytest.raises(Denied), quota.document(ACCOUNT):
                raise AssertionError("let in")


def test_an_honest_workers_round_fits_its_allowance() -> None:
    spec = tiny_spec()
    states = sum(spec.state.values())
    assert round_allowance(spec) >= spec.most_update + spec.schedule.segments * states
    assert largest_blob(spec) >= max(spec.state.values())


def test_there_is_room_for_so_many_accounts() -> None:
    members = Members()
    for number in range(MAX_ACCOUNTS):
        members.add(Address(f"0x{number:040x}"), Member("worker", Worker(0)))
    members.add(Address(f"0x{0:040x}"), Member("worker", Worker(1)))
    with pytest.raises(UsageError):
        members.add(Address(f"0x{MAX_ACCOUNTS:040x}"), Member("worker", Worker(0)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"kind":"segment","data":{"worker":0},"more":1}',
        b'{"kind":"segment","data":7}',
        b'{"kind":7,"data":{}}',
        b'{"kind":["segment"],"data":{}}',
        b'{"kind":"finish","data":{}}',
        b'{"kind":"segment","data":{"worker":1}}',
        b'{"kind":"segment","data":{}}',
        b'{"kind":"segment","data":{"worker":0,"loss":NaN}}',
        b'{"kind":"segment","data":{"worker":0,"loss":1e999}}',
        b'{"kind":"segment","data":{"worker":0,"loss":[1]}}',
        b'{"kind":"segment","data":{"worker":0,"a b":1}}',
        b'{"kind":"segment","data":{"worker":0,"round":99999999999999999999}}',
        b'{"kind":"segment","data":{"worker":0,"phase":"' + b"x" * 300 + b'"}}',
        b'{"kind":"segment","data":{' + b",".join(b'"a%d":0' % n for n in range(20)) + b"}}",
        b"[" * 2000,
    ],
)
def test_a_report_that_is_malformed_or_not_ones_own_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_report(Member("worker", Worker(0)), data)


def test_a_mailbox_takes_so_many_letters() -> None:
    async def fill(box: Mailbox) -> None:
        asking = [asyncio.ensure_future(box.ask(lambda: 1)) for _ in range(MAX_LETTERS)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await box.ask(lambda: 1)
        with pytest.raises(Busy):
            box.leave(lambda: None)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    box = Mailbox()
    asyncio.run(fill(box))
    box.serve()
    box.close()


def test_an_answer_holds_so_much_and_the_rest_follows() -> None:
    entries = [b"x" * 60_000 for _ in range(100)]
    source, found = Entries(Log(entries)), []
    while data := source.read(len(found)):
        assert len(data) < MAX_ANSWER + 60_002
        found += data.splitlines()
    assert found == entries


def test_a_tail_gives_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "events"
    assert Tail(path).read(0) == b""
    path.write_bytes(b"one\ntwo\nthr")
    assert Tail(path).read(0) == b"one\ntwo\n"
    assert Tail(path).read(4) == b"two\n"
    assert Tail(path).read(8) == b""
    assert Tail(path).read(2**50) == b""


def test_a_peer_holds_so_many_polls() -> None:
    async def hold() -> None:
        feed = Feed(Entries(Log()), Counter())
        feed.open()
        gone = asyncio.create_task(asyncio.sleep(60))
        held = [asyncio.create_task(feed.wait("peer", 0, 20, gone)) for _ in range(MAX_POLLS_PER_PEER)]
        await asyncio.sleep(0)
        with pytest.raises(Denied):
            await feed.wait("peer", 0, 20, gone)
        another = asyncio.create_task(feed.wait("another", 0, 20, gone))
        await asyncio.sleep(0)
        feed.close()
        await asyncio.gather(*held, another)
        gone.cancel()

    asyncio.run(hold())


def test_readers_wait_for_news_and_no_longer() -> None:
    async def follow() -> None:
        log = Log()
        feed = Feed(Entries(log), Counter())
        feed.open()
        gone = asyncio.create_task(asyncio.sleep(60))
        waiting = asyncio.create_task(feed.wait("peer", 0, 20, gone))
        await asyncio.sleep(0.01)
        log.append(b"{}")
        feed.wake(5.0)
        feed.wake()
        await asyncio.wait_for(waiting, 1)
        assert feed.read(0) == b"{}\n"
        hung_up = asyncio.create_task(asyncio.sleep(0.01))
        await asyncio.wait_for(feed.wait("peer", 1, 20, hung_up), 1)
        await asyncio.wait_for(feed.wait("peer", 1, 0.01, gone), 1)
        gone.cancel()

    asyncio.run(follow())
