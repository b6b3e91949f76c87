#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure: the benches in order, a dated JSON file and plots under bench/results/, and the closing
lines RATIO (or SKIPPED, and why). Nothing here fails for being slow; the exit status is 0 unless the
run itself breaks. `make bench-quick` and `make bench` call this."""
import argparse
import fcntl
import os
import signal
import sys

import cbench
import machine
import plots
import scaling
import versus
import windows
from product import NotMeasured, dp
from results import AES_NI, DIRECTORY, Results

CIPHER = [f"{what}-aes256gcm-{size}/cipher" for size in (64, 1400) for what in ("seal", "open")]
WORD = 160      # characters of a reason
SECGW = [f"seal-aes256gcm-{size}/secgw" for size in (64, 1400)]


def figure(value):
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def line(record):
    """One result as a line for people: what is scalar, in order."""
    return "  " + "  ".join(f"{key} {figure(value)}" for key, value in record.items()
                            if not isinstance(value, (dict, list)) and value is not None)


class Driver:
    def __init__(self, build, quick):
        self.build, self.quick = build, quick
        self.binary = os.path.join(build, "dataplane", "spillway-dataplane")
        self.results = Results("quick" if quick else "full")
        self.results.environment["peers"] = {"product": versus.Product.feature,
                                             "secgw": versus.secgw.Secgw.feature}

    def report(self, record):
        self.results.add(record)
        print(line(self.results.records[-1]), flush=True)

    def part(self, title, names, work):
        """Run one bench; what it cannot measure is skipped with a word."""
        print(f"{title}", flush=True)
        try:
            ratios, skipped = work() or ({}, {})
            self.results.ratios.update(ratios)
            self.results.skipped.update(skipped)
        except (NotMeasured, OSError, ValueError, KeyError, TimeoutError, dp.Refused) as why:
            word = str(why) if isinstance(why, NotMeasured) else f"{type(why).__name__}: {why}"
            word = (word.splitlines() or ["no word"])[0][:WORD]
            self.results.skip([name for name in names if name not in self.results.ratios], word)
            print(f"  skipped: {word}", flush=True)

    def cbench(self, title, names, target, threads=1):
        self.part(title, names, lambda: cbench.run(self.build, target, self.quick, self.report,
                                                   threads))

    def wide(self):
        """Did the cipher run with wide AES?"""
        return any("VAES" in record.get("isa", "") for record in self.results.records)

    def older(self, target, threads=1, arguments=()):
        """On a CPU with wide AES: the bench once more, with the cipher's code for CPUs without."""
        def work():
            found = cbench.run(self.build, target, self.quick,
                               lambda record: self.report({**record, "older": True}), threads,
                               ["--isa=aes-ni", *arguments])
            return [{f"{name}{AES_NI}": value for name, value in of.items()} for of in found]
        if self.wide():
            self.part("the same, with the cipher's code for CPUs without wide AES",
                      [f"{target}{AES_NI}"], work)

    def all(self):
        process = lambda module: lambda: module.bench(self.binary, self.quick, self.report)
        self.cbench("pipeline against the cipher", CIPHER, "bench-pipeline")
        self.older("bench-pipeline")
        self.part("process against ipsec-secgw", SECGW, process(versus))
        self.cbench("one SA on two workers", ["one-sa-2-workers/cipher-2-threads"], "bench-spread", 2)
        self.older("bench-spread", 2)
        self.cbench("tunnels, routes, stalls", ["tunnels-10000/tunnels-1"], "bench-scale", 2)
        self.older("bench-scale", 2, ["--work"])
        if not self.quick:
            self.part("process by routes and workers", ["process-scale"], process(scaling))
            self.part("loss windows", ["loss-windows"], process(windows))


def only_one():
    """Two runs at once would measure each other. Held until the process ends."""
    os.makedirs(DIRECTORY, exist_ok=True)
    lock = open(os.path.join(DIRECTORY, ".lock"), "w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("bench: another run is under way in this tree; wait for its end")
    return lock


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(machine.ROOT, "build"))
    parser.add_argument("--quick", action="store_true", help="the short form, under three minutes")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: huge pages and ports need root; run it with sudo")
    lock = only_one()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    driver = Driver(os.path.abspath(args.build), args.quick)
    cpu = driver.results.environment["cpu"]
    print(f"{cpu['model']}, {cpu['cores']} cores, {' '.join(cpu['flags'])}; "
          f"load {driver.results.environment['load_before'][0]:.2f}", flush=True)
    driver.all()
    print(driver.results.write())
    for path in plots.all_of(driver.results, DIRECTORY):
        print(path)
    print("\n".join(driver.results.closing_lines()))
    lock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
