# SPDX-License-Identifier: BSD-3-Clause
"""The benches in C: build one, run it, take what it prints.

A line that is a JSON object is a result; a line `RATIO name value` is one of the closing ratios,
`SKIPPED name: why` one that could not be measured; what else they print is for people. A bench that is not there yet, or fails, is skipped by the caller.
"""
import json
import os
import re
import subprocess

import machine
from product import NotMeasured, die_with_parent

RATIO = re.compile(r"^RATIO (\S+) ([0-9.]+)$")
MEMORY_MB = {"bench-scale": 3328}       # of huge pages; what the bench asks for, and a little
SKIPPED = re.compile(r"^SKIPPED (\S+): (.+)$")


def last_line(text):
    return (text.strip().splitlines() or ["no word"])[-1].strip()


def first_error(text):
    """The compiler's first complaint, or ninja's."""
    for line in text.splitlines():
        if "error: " in line:
            return line.removeprefix("ninja: error: ").removeprefix("../").strip()
    return last_line(text)


def build(directory, target):
    """Path of the program, up to date."""
    done = subprocess.run(["ninja", "-C", directory, target], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise NotMeasured(f"{os.path.basename(target)} does not build: {first_error(done.stdout)}")
    return os.path.join(directory, target)


def json_object(line):
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def parse(text):
    """(results, ratios by name, reasons of skipped ratios by name, lines for people)."""
    found, ratios, skipped, said = [], {}, {}, []
    for line in text.splitlines():
        if ratio := RATIO.match(line.strip()):
            ratios[ratio[1]] = float(ratio[2])
        elif skip := SKIPPED.match(line.strip()):
            skipped[skip[1]] = skip[2]
        elif (record := json_object(line)) is not None:
            found.append(record)
        elif line.strip():
            said.append(line)
    return found, ratios, skipped, said


def attempt(program, arguments, cpus, timeout):
    def prepare():
        die_with_parent()
        os.sched_setaffinity(0, cpus)
    try:
        return subprocess.run([program, *arguments], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              preexec_fn=prepare)
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"{os.path.basename(program)} took more than {timeout} s") from None


def run(directory, target, quick, report, threads=1, arguments=()):
    """Run a bench; hand each result to `report(record)`; returns its ratios and what it skipped.

    On huge pages when the machine has room for them, like the service in production. A bench of one
    thread is pinned to the last CPU, where nothing else of the run lives.
    """
    program = os.path.join(directory, "bench", target)
    build(directory, os.path.join("bench", target))
    cpus = machine.worker_cpus()[-1:] if threads == 1 else os.sched_getaffinity(0)
    wanted = ["--json", *["--quick"] * quick, *arguments]
    with machine.HugePages(MEMORY_MB.get(target, 640)):
        done = attempt(program, wanted, cpus, 120 if quick else 1800)
    if done.returncode:
        raise NotMeasured(f"{target} ended with {done.returncode}: "
                          f"{last_line(done.stderr or done.stdout)}")
    found, ratios, skipped, said = parse(done.stdout)
    for line in said:
        print(f"  {line}", flush=True)
    for record in found:
        report({"bench": target, **record})
    return ratios, skipped
