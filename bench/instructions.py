#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Instructions a packet, by stage: gdb steps through one whole burst of bench-pipeline.

On a wide CPU what surrounds the cipher costs what it has in instructions, six to eight a cycle, and
unlike cycles they can be counted on a machine that is busy: the figure is the same every time.

    python3 bench/instructions.py build/bench/bench-pipeline            sealing and opening 64 bytes
    python3 bench/instructions.py BENCH --what open --lines esp_open    the source lines of one stage
    python3 bench/instructions.py build/bench/bench-scale               sealing, each packet another tunnel

Needs gdb and a build with debug information (the usual one)."""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

STAGES = {"seal": "dp_stage_esp_seal", "open": "dp_stage_esp_open"}
WARM = {"pipeline": 50, "scale": 1500}      # bursts before the one that is counted
BURST = 64     # packets
ENTRY = "dp_pipeline_rx"


def step_through(gdb):
    """Inside gdb: count by (stage, function, address) and leave the counts in SPW_COUNT_OUT."""
    wanted = os.environ["SPW_COUNT_STAGE"]
    for word in ("pagination off", "confirm off"):
        gdb.execute("set " + word)
    warm = gdb.Breakpoint(wanted)
    warm.ignore_count = int(os.environ["SPW_COUNT_WARM"])
    gdb.execute("run", to_string=True)
    warm.delete()
    gdb.Breakpoint("*" + ENTRY, temporary=True)
    gdb.execute("continue", to_string=True)
    number = lambda what: int(gdb.parse_and_eval(what))
    end, depth, names = int(gdb.selected_frame().older().pc()), number("$sp"), {}
    base, stage, counts = number(f"(long)&{ENTRY}"), "begin", collections.Counter()
    while (pc := number("$pc")) != end or number("$sp") <= depth:
        if pc not in names:
            symbol = gdb.execute(f"info symbol {pc}", to_string=True).split(" in section")[0]
            names[pc] = (symbol.split(" ")[0], symbol.startswith("dp_stage_") and "+" not in symbol)
        name, begins = names[pc]
        stage = name.removeprefix("dp_stage_") if begins else stage
        counts[stage, name, pc - base] += 1
        gdb.execute("stepi", to_string=True)
    with open(os.environ["SPW_COUNT_OUT"], "w", encoding="utf-8") as out:
        json.dump([[*key, n] for key, n in counts.items()], out)
    gdb.execute("kill")
    gdb.execute("quit")


def is_scale(bench):
    return os.path.basename(bench).endswith("scale")


def count(bench, what, size):
    scale = is_scale(bench)
    arguments = ["--work", "--quick"] if scale else [f"--size={size}", "--quick"]
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run(["gdb", "-q", "-batch", "-x", os.path.abspath(__file__), "--args", bench,
                               *arguments], text=True, capture_output=True,
                              env=dict(os.environ, SPW_COUNT_STAGE=STAGES[what], SPW_COUNT_OUT=out.name,
                                       SPW_COUNT_WARM=str(WARM["scale" if scale else "pipeline"])))
        text = out.read()
    if not text:
        sys.exit(f"instructions: gdb did not come through a burst of {bench}: "
                 f"{(done.stderr or done.stdout).strip()[-300:]}")
    return json.loads(text)


def by_line(bench, rows, stage):
    """(source line, instructions) of one stage, in the order of the files; the library's apart."""
    nm = subprocess.run(["nm", bench], text=True, capture_output=True, check=True).stdout
    base = int(re.search(rf"^(\w+) . {ENTRY}$", nm, re.M).group(1), 16)
    mine = [(base + at, n) for name, _, at, n in rows if name == stage]
    inside = [(at, n) for at, n in mine if 0 <= at < 1 << 24]
    places = subprocess.run(["addr2line", "-e", bench] + [hex(at) for at, _ in inside], text=True,
                            capture_output=True, check=True).stdout.splitlines()
    lines = collections.Counter()
    for place, (_, n) in zip(places, inside):
        lines[os.path.basename(place.split(" ")[0])] += n
    lines["libraries"] += sum(n for _, n in mine) - sum(n for _, n in inside)
    order = lambda place: (place.partition(":")[0], int(place.partition(":")[2].strip("?") or 0))
    return [(place, lines[place]) for place in sorted(lines, key=order)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", help="bench-pipeline, or bench-scale (64 bytes, sealing)")
    parser.add_argument("--what", choices=STAGES, action="append", help="both unless given")
    parser.add_argument("--size", type=int, default=64, help="inner bytes")
    parser.add_argument("--lines", metavar="STAGE", help="the source lines of this stage")
    args = parser.parse_args()
    for what in args.what or (["seal"] if is_scale(args.bench) else [*STAGES]):
        rows = count(args.bench, what, args.size)
        stages = collections.Counter()
        for stage, _, _, n in rows:
            stages[stage] += n
        print(f"{what} {args.size} B: {sum(stages.values()) / BURST:.1f} instructions a packet: "
              + ", ".join(f"{stage} {n / BURST:.1f}" for stage, n in stages.items()))
        for place, n in by_line(args.bench, rows, args.lines) if args.lines else ():
            print(f"{n / BURST:8.1f}  {place}")


if "SPW_COUNT_OUT" in os.environ:
    import gdb as inside_gdb

    step_through(inside_gdb)
elif __name__ == "__main__":
    main()
