from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rollouts import begun, passing, policy, reading, result, split

from flows.release.gates.result import Verdict
from flows.release.ledger.chain import BrokenLedger
from flows.release.ledger.wishes import WishList, wish
from flows.release.ledger.writer import SecondWriter, read_ledger, writing
from flows.release.records import Confirmed, Halted, Intended, Purpose, Wish, Wished

RECORDS = (
    begun(policy(), offline=(result("gini"), result("calibration", Verdict.FAIL))),
    Intended(split=split(0), purpose=Purpose.ADVANCE, why="ready", gates=passing(policy(), 0)),
    Confirmed(split=split(0), baseline=reading()),
    Halted(why="größer als erlaubt"),
)


def write(folder: Path) -> Path:
    with writing(folder, lambda: 12.5) as ledger:
        for record in RECORDS:
            ledger.append(record)
    return folder / "ledger.jsonl"


def test_what_is_written_is_read_again_whole(tmp_path: Path) -> None:
    write(tmp_path)
    chain = read_ledger(tmp_path)
    assert tuple(entry.record for entry in chain.entries[1:]) == RECORDS
    assert {(entry.at, entry.epoch) for entry in chain.entries} == {(12.5, 1)}


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none").entries == ()


def test_each_writer_has_a_later_epoch(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        with writing(tmp_path, time.time) as ledger:
            assert ledger.epoch == epoch


def changed(line: bytes) -> bytes:
    return line.replace(b'"share":0', b'"share":5')


DAMAGE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "changed": lambda lines: [*lines[:2], changed(lines[2]), *lines[3:]],
    "removed": lambda lines: [*lines[:2], *lines[3:]],
    "added": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "moved": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "no JSON": lambda lines: [*lines[:2], b"{\n", *lines[3:]],
    "no record": lambda lines: [*lines[:2], lines[2].replace(b'"intended"', b'"invented"'), *lines[3:]],
    "not text": lambda lines: [*lines[:2], b"\xff\xfe\n", *lines[3:]],
    "a number": lambda lines: [*lines[:2], b"7\n", *lines[3:]],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_its_line_named_and_nothing_more_is_written(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path)
    path.write_bytes(b"".join(DAMAGE[damage](path.read_bytes().splitlines(keepends=True))))
    before = path.read_bytes()
    with pytest.raises(BrokenLedger, match=r"line 3|line 4"):
        read_ledger(tmp_path)
    with pytest.raises(BrokenLedger), writing(tmp_path, time.time):
        pass
    assert path.read_bytes() == before


def test_half_a_line_at_the_end_is_told_and_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1, 7):
        path.write_bytes(whole[:-cut])
        chain = read_ledger(tmp_path)
        assert len(chain.entries) == len(RECORDS)
        assert chain.torn > 0
        with writing(tmp_path, time.time) as ledger:
            ledger.append(RECORDS[-1])
        healed = read_ledger(tmp_path)
        assert (len(healed.entries), healed.torn) == (len(RECORDS) + 2, 0)


HOLDER = """
import sys, time
from pathlib import Path
from flows.release.ledger.writer import writing
from flows.release.ledger.wishes import WishList
with writing(Path(sys.argv[1]), time.time):
    print("holds", flush=True)
    time.sleep(600)
"""


def test_a_second_writer_is_refused_while_the_first_lives_and_takes_over_when_it_was_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holds\n"
        with pytest.raises(SecondWriter, match=f"process {holder.pid}"), writing(tmp_path, time.time):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(30)
        with writing(tmp_path, time.time) as ledger:
            assert ledger.epoch == 2
    finally:
        holder.kill()
        holder.wait(30)
        holder.stdout.close()


def test_wishes_are_numbered_and_do_not_need_the_writer_to_be_gone(tmp_path: Path) -> None:
    wished = Wished(rollout="r1", wish=Wish.PAUSE, by="Ada", reason="lunch")
    with writing(tmp_path, time.time):
        wish(tmp_path, wished, at=1.0)
        wish(tmp_path, wished.model_copy(update={"wish": Wish.RESUME}), at=2.0)
    found = WishList(tmp_path).read()
    assert [(each.number, each.wish) for each in found] == [(0, Wish.PAUSE), (1, Wish.RESUME)]


def test_a_wish_wakes_a_promoter_that_sleeps_and_one_that_was_about_to(tmp_path: Path) -> None:
    wished = Wished(rollout="r1", wish=Wish.ABORT, by="Ada", reason="fire")
    wishes = WishList(tmp_path)
    wishes.read()
    wish(tmp_path, wished, at=1.0)
    wishes.sleep(3600)
    assert len(wishes.read()) == 1
    timer = threading.Timer(0.2, wish, (tmp_path, wished, 2.0))
    timer.start()
    wishes.sleep(3600)
    timer.join()
    assert len(wishes.read()) == 2
    wishes.sleep(0.01)
