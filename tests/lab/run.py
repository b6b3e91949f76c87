#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run the lab's scenarios: one line each, then `N passed, N failed`.

usage: run.py [--list] [--no-product] [--without WORD ...] [WORD ...]

A scenario is a function `test_*` of a file test_*.py; with a parameter named `bed` (one link, one
tunnel), `tunnel` (the same, its tunnel in use), `two` (two of each), `private` (IPsec over ExpressRoute), `nat` (a NAT before a gateway) or `six` (a tunnel over IPv6) it gets a test bed: a fresh one,
or, where it leaves the bed clean, the one that all such scenarios share. WORDs choose scenarios
whose file or name holds one of them. --no-product leaves out those that need our daemons (with a
bed). SPILLWAY_LAB_LONG=1 runs the long forms, and the scenarios that have no other.

One scenario runs after the other, but for those that judge neither times nor losses (`unmeasured`):
they come first, each in a process of its own, BESIDE at a time.
"""
import argparse
import concurrent.futures
import contextlib
import ctypes
import glob
import importlib
import inspect
import io
import os
import re
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from bed import LONG, Bed  # noqa: E402
from bed_nat import BedNat  # noqa: E402
from bed_private import BedPrivate  # noqa: E402
from bed_six import BedSix  # noqa: E402
from bed_tunnel import BedTunnel  # noqa: E402
from bed_two import BedTwo  # noqa: E402
from net import LabError  # noqa: E402

FIRST = ("test_rules", "test_supervisor", "test_destroy", "test_failover")
LAST = ("test_kill",)       # what is killed may leave traces at the peer for a minute
BESIDE = 2
COUNTED = re.compile(r"\d+ passed, \d+ failed")
LIBC = ctypes.CDLL(None)


BEDS = {"bed": Bed, "tunnel": BedTunnel, "two": BedTwo, "private": BedPrivate,
        "nat": BedNat, "six": BedSix}


def bed_kind(function):
    """Which test bed a scenario wants: a name of BEDS, or None."""
    return next((p for p in inspect.signature(function).parameters if p in BEDS), None)


def place(function):
    """Scenarios without a bed, then those with one of their own, then all that share one."""
    kind = bed_kind(function)
    if kind is None:
        return 0
    own = not shares_bed(function)
    return 1 if own else 2 + 2 * list(BEDS).index(kind) + getattr(function, "ends_bed", False)


def shares_bed(function):
    return getattr(function, "leaves_bed_clean", False) or getattr(function, "ends_bed", False)


def scenarios(words, without=()):
    """[(module name, function name, function)] in the order in which they are run."""
    names = sorted(os.path.basename(p)[:-3] for p in glob.glob(os.path.join(HERE, "test_*.py")))
    names.sort(key=lambda n: FIRST.index(n) if n in FIRST else len(FIRST) + LAST.count(n))
    found = []
    for name in names:
        module = importlib.import_module(name)
        for title, function in inspect.getmembers(module, inspect.isfunction):
            if title.startswith("test_") and function.__module__ == name and (
                    any(w in name or w in title for w in words) if words else
                    LONG or not getattr(function, "long_form", False)) and \
                    not any(w in name or w in title for w in without):
                found.append((name, title, function))
    found.sort(key=lambda s: (place(s[2]), names.index(s[0])))
    return found


def needs_product(function):
    return bed_kind(function) is not None or \
        function.__name__ == "test_destroy_leaves_nothing"


class Beds:
    """Hands beds out; scenarios that leave theirs clean share one, which saves building it."""

    def __init__(self):
        self.shared = None

    def call(self, function):
        kind = bed_kind(function)
        if kind is None:
            self.drop()
            function()
        elif shares_bed(function):
            self._call_shared(function, BEDS[kind])
        else:
            self.drop()
            with BEDS[kind](**getattr(function, "bed_options", {})) as bed:
                function(bed)

    def _call_shared(self, function, make):
        try:
            if type(self.shared) is not make:
                self.drop()
                bed = make()
                bed.__enter__()
                self.shared = bed
            self.shared.wait_ready_again()
            function(self.shared)
        except BaseException:
            self.drop(*sys.exc_info())
            raise
        if getattr(function, "ends_bed", False):
            self.drop()

    def drop(self, *error):
        bed, self.shared = self.shared, None
        if bed is not None:
            bed.__exit__(*(error or (None, None, None)))


def reason(error):
    """One line that says why, with the place in the scenario."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return text if isinstance(error, (AssertionError, LabError)) else "%s: %s (%s:%d)" % (
        type(error).__name__, text, os.path.basename(frame.filename), frame.lineno)


def run_one(beds, name, title, function):
    begun = time.monotonic()
    said = io.StringIO()
    error = None
    try:
        with contextlib.redirect_stdout(said):
            beds.call(function)
    except (Exception, SystemExit) as raised:  # a scenario may fail in any way; the rest goes on
        error = raised
    print("%-6s %s: %s  (%.1f s)%s" % (
        "ok" if error is None else "not ok", name[len("test_"):],
        title[len("test_"):].replace("_", " "), time.monotonic() - begun,
        "" if error is None else "\n       " + reason(error)), flush=True)
    if error is not None and said.getvalue().strip():
        print(said.getvalue().rstrip(), flush=True)
    return error is None


def end_with_parent():
    LIBC.prctl(1, signal.SIGTERM)       # PR_SET_PDEATHSIG


def run_apart(name, title, _):
    """One scenario in a process of its own: (whether it passed, what it said)."""
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--only",
                           "%s.%s" % (name, title)], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          preexec_fn=end_with_parent, check=False)
    said = [line for line in done.stdout.rstrip().splitlines() if not COUNTED.fullmatch(line)]
    if not any(line.startswith(("ok ", "not ok ")) for line in said):
        said.insert(0, "not ok %s: %s  ended with %d" % (name, title, done.returncode))
    return done.returncode == 0, "\n".join(said)


def run_beside(chosen):
    """Scenarios that mind no others, the longest of them first."""
    chosen = sorted(chosen, key=lambda s: bed_kind(s[2]) is None)
    results = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=BESIDE) as pool:
        for good, said in pool.map(lambda s: run_apart(*s), chosen):
            print(said, flush=True)
            results.append(good)
    return results


def selftest():
    """The lab's own test, as one scenario."""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, os.path.join(HERE, "selftest.py")], text=True,
                          capture_output=True, stdin=subprocess.DEVNULL)
    good = done.returncode == 0
    print("%-6s lab: the lab does what the scenarios rely on  (%.1f s)" % (
        "ok" if good else "not ok", time.monotonic() - begun), flush=True)
    if not good:
        print("\n".join("       | " + line for line in (done.stdout + done.stderr).splitlines()
                        if not line.startswith("ok")))
    return good


def main():
    parser = argparse.ArgumentParser(description="Run the scenarios of the namespace lab.")
    parser.add_argument("--list", action="store_true", help="only name the scenarios")
    parser.add_argument("--no-product", action="store_true",
                        help="leave out scenarios that need the daemons")
    parser.add_argument("--without", action="append", default=[], metavar="WORD",
                        help="leave out scenarios whose file or name holds the word")
    parser.add_argument("--only", metavar="FILE.NAME", help="this scenario, here and alone")
    parser.add_argument("words", nargs="*", metavar="WORD")
    args = parser.parse_args()
    chosen = [s for s in scenarios(args.words, args.without)
              if not (args.no_product and needs_product(s[2]))]
    if args.only:
        chosen = [s for s in scenarios([args.only.partition(".")[2]]) if "%s.%s" % s[:2] == args.only]
    if args.list:
        print("\n".join("%s %s" % (name, title) for name, title, _ in chosen))
        return 0
    alone = args.only or args.words
    results = [selftest()] if not alone or "selftest" in args.words else []
    beside = [s for s in chosen if getattr(s[2], "unmeasured", False) and not args.only]
    results += run_beside(beside)
    beds = Beds()
    try:
        results += [run_one(beds, *scenario) for scenario in chosen if scenario not in beside]
    finally:
        beds.drop()
    if not results:
        print("no scenario has that in its name", file=sys.stderr)
        return 2
    print("%d passed, %d failed" % (results.count(True), results.count(False)))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
