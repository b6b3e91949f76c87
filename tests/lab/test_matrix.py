# SPDX-License-Identifier: BSD-3-Clause
"""The interop matrix with strongSwan, a sample of it or (SPILLWAY_LAB_LONG=1) the whole.

SPILLWAY_MATRIX_SEED=N repeats a sample. The results lie in matrix.json of the build folder: each
cell with its packets, the pieces that each side sent and, when it failed, why.
"""
import json
import os
import random

from bed import LONG
from matrix import (SETS, SIZES, Runner, bed_settings, covered_by, must_cut, ordered, sample, whole)
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
