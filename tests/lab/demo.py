#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The demo: a site's traffic over ExpressRoute, into the tunnel when the circuit fails, and back.

Runs the acceptance test three times (BGP withdrawal, frozen edge, link down) on real daemons in
network namespaces, prints a timeline, a table and FIGURE lines, draws demo-out/failover.svg and
.png. Exit status 0 only when every bar holds. KEEP=1 leaves the lab up at the end.
"""
import os
import sys
import time

from acceptance import Acceptance
from lab import ROOT, Lab
from net import LabError
from product import Gateway
from traffic import tool

OUT_DIR = os.environ.get("SPILLWAY_DEMO_OUT", os.path.join(ROOT, "demo-out"))


def hold_standard_streams():
    """With stdin closed, keep number 0 from being given to something else."""
    try:
        os.fstat(0)
    except OSError:
        os.open(os.devnull, os.O_RDONLY)


def give_to_caller(directory):
    """Under sudo, the results belong to the user who asked for them."""
    uid, gid = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if uid and gid:
        for path in [directory] + [os.path.join(directory, n) for n in os.listdir(directory)]:
            os.chown(path, int(uid), int(gid))


def prepare(lab):
    """Daemons up, configuration committed, ExpressRoute active, tunnel ready."""
    gateway = Gateway(lab)
    gateway.start()
    print("daemons up: spillway-dataplane, spillway-iked, spillway-controld, FRR", flush=True)
    print(gateway.load_demo().stdout.strip(), flush=True)
    gateway.wait_ready()
    print(gateway.shell("show", "failover").stdout.strip() + "\n", flush=True)
    return gateway


def report(test):
    """Print the evidence; return the broken musts."""
    print()
    for line in test.table():
        print(line)
    broken = test.judge()
    test.draw(OUT_DIR)
    give_to_caller(OUT_DIR)
    print("\ntimeline drawn: %s/failover.svg and .png\n" % os.path.relpath(OUT_DIR, os.getcwd()))
    for line in broken:
        print("BROKEN: " + line)
    for name, value in test.figures().items():
        print("FIGURE %s %g" % (name, value))
    return broken


def say_how_to_enter(gateway):
    print("\nThe lab stays up. The shell of the gateway:\n    %s\n"
          "To remove it:\n    sudo %s destroy" % (
              gateway.shell_command(), os.path.join(ROOT, "tests", "lab", "lab.py")))


def main():
    hold_standard_streams()
    begun = time.monotonic()
    keep = os.environ.get("KEEP", "") not in ("", "0")
    try:
        tool("probe")
        with Lab("spw") as lab:
            print("namespaces: " + " ".join(sorted(lab.ns(n) for n in (
                "lan", "gw", "sw", "er", "inet", "azure", "vnet"))), flush=True)
            gateway = None
            try:
                gateway = prepare(lab)
                test = Acceptance(lab, gateway, say=lambda line: print(line, flush=True))
                test.run()
                broken = report(test)
            finally:
                lab.keep = keep and gateway is not None
                if gateway is not None and not keep:
                    gateway.stop()
            if keep:
                say_how_to_enter(gateway)
    except LabError as error:
        print("demo: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    print("demo took %.0f s" % (time.monotonic() - begun), file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
