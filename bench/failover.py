#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure failing over: bench-failover (event to first packet on the other path, inside the data
plane) and the gap runs of the namespace lab (tests/lab/gaps.py, the real daemons); a dated JSON file
and a plot under bench/results/, and the closing lines FIGURE. `sudo make bench-failover` calls this.

--quick: 20 switches a case and 3 gap runs a kind. --routes adds a million routes learnt by BGP
(tests/lab/million.py). Nothing fails for being slow; what cannot be measured is SKIPPED, with why.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import machine
import plots
from cbench import attempt, build, json_object
from product import NotMeasured
from results import DIRECTORY, Results
from run import only_one

FIGURE = re.compile(r"^FIGURE (\S+) ([0-9.]+)$")
LAB = os.path.join(machine.ROOT, "tests", "lab")
KINDS = ("withdraw", "link", "bfd", "blackhole")
MEMORY_MB = 2200
BARS_MS = {"withdraw": 20, "link": 10, "bfd": 1000, "blackhole": 3000}
COLOURS = dict(zip(KINDS, ("#2166ac", "#1b7837", "#e08214", "#762a83")))

# What the bench is asked for, said last and in this order; what explains it comes before.
CLOSING = ("switch-us-1", "switch-us-1000000", *(f"gap-ms-{kind}" for kind in KINDS), "lost-on-return")


def closing_place(name):
    """Sorts figures: those of CLOSING last (others keep their order)."""
    return CLOSING.index(name) if name in CLOSING else -1


def percentile(values, percent):
    """The smallest value with at least `percent` of all at or below it."""
    values = sorted(values)
    return values[max(0, -(-len(values) * percent // 100) - 1)]


def switch_times(directory, mode):
    """(records, {figure: value}) of bench-failover."""
    program = os.path.join(directory, "bench", "bench-failover")
    build(directory, "bench/bench-failover")
    with machine.HugePages(MEMORY_MB):
        done = attempt(program, ["--json", *mode], os.sched_getaffinity(0), 3600)
    if done.returncode:
        raise NotMeasured("bench-failover: " + (done.stderr.strip().splitlines() or ["no word"])[-1])
    lines = done.stdout.splitlines()
    figures = {found[1]: float(found[2]) for found in map(FIGURE.match, lines) if found}
    return [record for record in map(json_object, lines) if record], figures


def lab(script, directory, *arguments):
    """Run a driver of the lab; what it left in its --out file."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run([sys.executable, "-B", os.path.join(LAB, script), *arguments, "--out",
                               out.name], env={**os.environ, "SPILLWAY_BUILD": directory},
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise NotMeasured(f"{script}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
        out.seek(0)
        return json.load(out)


def gap_figures(found):
    """({figure: value}, {figure: why it is not there}) of the gap runs."""
    figures, skipped = {}, {}
    for kind in KINDS:
        runs = [r for r in found["records"] if r["kind"] == kind]
        if not runs:
            why = found["left_out"].get(kind) or (found["failed"].get(kind) or ["no run"])[0]
            skipped[f"gap-ms-{kind}"] = why
            continue
        figures[f"gap-ms-{kind}"] = percentile([r["gap_ms"]["out"] for r in runs], 95)
        figures[f"gap-in-ms-{kind}"] = percentile([r["gap_ms"]["in"] for r in runs], 95)
    records = found["records"]
    if records:
        figures["gap-calm-ms"] = percentile([r["calm_gap_ms"]["out"] for r in records], 95)
        figures["gap-tunnel-ms"] = percentile([r["tunnel_gap_ms"]["out"] for r in records], 95)
        figures["lost-on-return"] = sum(sum(r["lost_on_return"].values()) for r in records)
        figures["violations"] = max(r["violations"] for r in records)
    figures["gap-runs-failed"] = sum(map(len, found["failed"].values()))
    return figures, skipped


def gap_plot(records, path):
    """Distribution of the gaps by kind: how many of the runs had at most so long a gap."""
    lines = []
    script = ""
    for kind in KINDS:
        gaps = sorted(r["gap_ms"]["out"] for r in records if r["kind"] == kind)
        if gaps:
            rows = [(max(gap, 0.1), (i + 1) / len(gaps)) for i, gap in enumerate(gaps)]
            script += plots.block(kind, rows)
            lines.append(f"${kind} using 1:2 with steps lw 2.5 lc rgb '{COLOURS[kind]}' "
                         f"title '{kind} (p95 {percentile(gaps, 95):.4g} ms)'")
            lines.append(f"${kind} using 1:2 with points pt 7 ps 0.6 lc rgb '{COLOURS[kind]}' "
                         "notitle")
    if not lines:
        return []
    script += """\
set title 'Gap seen by a steady flow when ExpressRoute fails'
set logscale x 10
set xrange [0.1:10000]
set yrange [0:1.02]
set xlabel 'longest time without a packet, ms'
set ylabel 'share of the runs'
set key at graph 0.74, graph 0.55
""" + "".join(f"set arrow from {BARS_MS[kind]}, graph 0 to {BARS_MS[kind]}, graph 1 nohead dt 3 "
              f"lc rgb '{COLOURS[kind]}'\n" for kind in KINDS) + "plot " + ", ".join(lines) + "\n"
    return plots.draw(script, path)


class Run:
    """One run: what it found, and what it could not find."""

    def __init__(self, directory):
        self.directory = directory
        self.results = Results("failover")
        self.figures = {}
        self.gaps = []

    def part(self, title, names, work):
        print(title, flush=True)
        try:
            work()
        except (NotMeasured, OSError, ValueError, KeyError) as why:
            self.results.skip(names, f"{type(why).__name__}: {why}"[:200])

    def switches(self, mode):
        records, figures = switch_times(self.directory, mode)
        for record in records:
            self.results.add(record)
        self.figures.update(figures)

    def gap_runs(self, runs, rate):
        found = lab("gaps.py", self.directory, "--runs", str(runs), "--rate", str(rate))
        figures, skipped = gap_figures(found)
        self.gaps = found["records"]
        for record in self.gaps:
            self.results.add({"what": "gap", **record})
        self.results.add({"what": "gap-runs-failed", **found["failed"]})
        self.figures.update(figures)
        self.results.skipped.update(skipped)

    def routes(self):
        found = lab("million.py", self.directory)
        self.results.add({"what": "routes", **found})
        self.figures.update({"routes-installed-s": found["installed_s"],
                             "routes-zebra-s": found["zebra_s"]})

    def close(self):
        """Write, draw, and say the figures."""
        self.results.ratios = self.figures
        path = self.results.write()
        print(path)
        for made in gap_plot(self.gaps, path.removesuffix(".json") + "-gaps"):
            print(made)
        for name, why in self.results.skipped.items():
            print(f"SKIPPED {name}: {why}")
        for name in sorted(self.figures, key=closing_place):
            print(f"FIGURE {name} {self.figures[name]:g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(";")[0])
    parser.add_argument("--build", default=os.path.join(machine.ROOT, "build"))
    parser.add_argument("--runs", type=int, help="gap runs of each kind (20)")
    parser.add_argument("--rate", type=int, default=10000, help="packets a second each way")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-lab", action="store_true", help="only what one process measures")
    parser.add_argument("--routes", action="store_true", help="and a million routes by BGP")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench-failover: the lab and huge pages need root; run it with sudo")
    lock = only_one()
    run = Run(os.path.abspath(args.build))
    run.part("switches inside the data plane", ["switch-us"],
             lambda: run.switches(["--quick"] if args.quick else []))
    if not args.no_lab:
        runs = args.runs or (3 if args.quick else 20)
        run.part(f"gaps in the namespace lab, {runs} runs of each kind",
                 [f"gap-ms-{kind}" for kind in KINDS], lambda: run.gap_runs(runs, args.rate))
    if args.routes:
        run.part("a million routes by BGP", ["routes-installed-s"], run.routes)
    run.close()
    lock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
