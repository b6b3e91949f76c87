# SPDX-License-Identifier: BSD-3-Clause
"""The interop matrix with strongSwan, a sample of it or (SPILLWAY_LAB_LONG=1) the whole.

SPILLWAY_MATRIX_SEED=N repeats a sample. The results lie in matrix.json of the build folder: each
cell with its packets, the pieces that each side sent and, when it failed, why.
"""
import json
import os
import random
import socket
import struct

from bed import LONG
from matrix import (INIT, PACKETS, SETS, SIZES, SKF, Cell, Datagram, Runner, bed_settings,
                    covered_by, dissect, judge_wire, must_cut, ordered, sample, whole)
from scenario import leaves_bed_clean
from traffic import build_dir

CELLS = 24


def seed_wanted():
    return int(os.environ.get("SPILLWAY_MATRIX_SEED", random.randrange(1 << 31)))


def write(seed, results):
    path = os.path.join(build_dir(), "matrix.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"seed": seed, "whole": LONG, "passed": sum(r["ok"] for r in results),
                   "failed": sum(not r["ok"] for r in results), "cells": results}, out, indent=1)
    return path


def test_a_sample_of_the_matrix_has_every_value_of_every_axis():
    everything = set().union(*map(covered_by, whole()))
    for seed in range(5):
        cells = sample(seed, CELLS)
        seen = set().union(*map(covered_by, cells))
        kinds = {kind[0] for kind in everything - seen}
        assert kinds <= {"suite, dial"}, "seed %d leaves out %s" % (seed, everything - seen)
        assert {c.suite for c in cells} == set(range(len(SETS)))
        assert {(c.ours, c.theirs) for c in cells} == {(a, b) for a in SIZES for b in SIZES}
        assert set().union(*map(must_cut, cells)) == {"we", "they"}
    assert sample(1, CELLS) == sample(1, CELLS) != sample(2, CELLS)
    assert len(whole()) == len(set(whole())) == len(SETS) * 2 * 2 * 9


def frame(proto=17, ports=(500, 500), payload=b"", src="198.51.100.2", dst="203.0.113.2"):
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return bytes(12) + b"\x08\x00" + head + udp


def test_frames_on_the_internet_are_told_apart():
    ike = bytes(16) + bytes((SKF, 0x20, 35, 0)) + bytes(60)
    for made, kind, pieces in (
            (frame(payload=ike), "ike", True), (frame(ports=(4500, 4500), payload=bytes(4) + ike),
                                                "ike", True),
            (frame(payload=bytes(16) + bytes((46, 0x20, 35, 0)) + bytes(60)), "ike", False),
            (frame(ports=(4500, 4500), payload=b"\1" * 80), "esp", False),
            (frame(ports=(4500, 4500), payload=b"\xff"), "other", False),
            (frame(proto=50, payload=b"\1" * 80), "esp", False),
            (frame(ports=(7000, 7000), payload=b"x" * 40, src="10.1.0.10"), "clear", False),
            (frame(ports=(7000, 7000), payload=b"x" * 40, dst="10.100.0.10"), "clear", False),
            (bytes(12) + b"\x08\x06" + bytes(40), "other", False)):
        seen = dissect(made, outgoing=False)
        assert (seen.side, seen.kind, seen.pieces) == ("we", kind, pieces), (seen, kind)


def test_what_contradicts_a_cell_is_not_let_pass():
    cell = Cell(0, False, "we", 576, 576)
    esp = [Datagram(side, "esp", 160, None, False) for side in ("we", "they")] * PACKETS

    def ike(side, length, pieces, exchange=35):
        return Datagram(side, "ike", length, exchange, pieces)
    good = esp + [ike("we", 576, True), ike("they", 570, True), ike("they", 700, False, INIT)]
    judge_wire(cell, good)
    judge_wire(cell._replace(ours=0), esp + [ike("we", 700, False), ike("they", 1300, False)])
    for bad_cell, bad in (
            (cell, good + [ike("they", 577, True)]), (cell, good + [ike("we", 600, False)]),
            (cell, good + [Datagram("we", "clear", 128, None, False)]), (cell, good[1:]),
            (cell, good + [ike("we", 400, True, INIT)]), (cell, esp + good[-1:]),
            (cell._replace(ours=0), good),
            (cell._replace(theirs=0), esp + [ike("we", 500, False), ike("they", 400, False)])):
        try:
            judge_wire(bad_cell, bad)
        except AssertionError:
            continue
        raise AssertionError("let pass: %s" % (bad[len(esp):],))


@leaves_bed_clean
def test_the_interop_matrix_with_strongswan(tunnel):
    seed = seed_wanted()
    print("SPILLWAY_MATRIX_SEED=%d" % seed)
    cells = ordered(whole() if LONG else sample(seed, CELLS))
    ours, theirs = bed_settings(cells[0])
    runner = Runner(tunnel)
    try:
        with tunnel.with_settings(ours, **theirs), runner:
            for cell in cells:
                runner.run(cell)
    finally:
        path = write(seed, runner.results)
    bad = ["%s: %s" % (r["cell"], r["reason"]) for r in runner.results if not r["ok"]]
    print("\n".join("    " + line for line in bad))
    assert not bad, "%d of %d cells failed (seed %d, %s): %s" % (len(bad), len(cells), seed, path,
                                                                bad[0])
    assert not tunnel.gateway.crashes(), tunnel.gateway.crashes()
