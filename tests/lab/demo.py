#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The demo: a site's traffic over ExpressRoute, into the tunnel when the circuit fails, and back.

Runs the acceptance test three times (BGP withdrawal, frozen edge, link down) on real daemons in
network namespaces, prints a timeline, a table and FIGURE lines, draws demo-out/failover.svg and
.png. Exit status 0 only when every bar holds. --keep (or KEEP=1) leaves the lab up at the end.
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
    if not uid or not gid or not os.path.isdir(directory):
        return
    for folder, _, names in os.walk(directory):
        for path in [folder] + [os.path.join(folder, name) for name in names]:
            os.chown(path, int(uid), int(gid))


def prepare(gateway):
    """Daemons up, configuration committed, ExpressRoute active, tunnel ready."""
    gateway.start()
    print("daemons up: spillway-dataplane, spillway-iked, spillway-controld, FRR", flush=True)
    print(gateway.load_demo().stdout.strip(), flush=True)
    gateway.wait_ready()
    gateway.lab.wait_expressroute()
    print(gateway.shell("show", "failover").stdout.strip() + "\n", flush=True)


def report(test, begun):
    """Print the evidence, the lines for machines last; return the broken musts."""
    print()
    for line in test.table():
        print(line)
    broken = test.judge()
    test.draw(OUT_DIR)
    print("\ntimeline drawn: %s/failover.svg and .png; the demo took %.0f s\n" % (
        os.path.relpath(OUT_DIR, os.getcwd()), time.monotonic() - begun))
    for line in broken:
        print("BROKEN: " + line)
    for name, value in test.figures().items():
        print("FIGURE %s %g" % (name, value))
    return broken


def say_how_to_enter(gateway):
    print("\nThe lab stays up. The shell of the gateway:\n    %s\n"
          "To remove it:\n    sudo %s destroy" % (
              gateway.shell_command(), os.path.join(ROOT, "tests", "lab", "lab.py")))


def show(lab, keep, begun):
    """Everything between a lab that is up and its end; return the broken musts."""
    gateway = Gateway(lab)
    try:
        prepare(gateway)
        test = Acceptance(lab, gateway, say=lambda line: print(line, flush=True))
        test.run()
        if keep:
            say_how_to_enter(gateway)
        return report(test, begun)
    finally:
        lab.keep = keep
        if not keep:
            gateway.stop()
        lab.save_logs(os.path.join(OUT_DIR, "logs"))
        give_to_caller(OUT_DIR)


def main():
    hold_standard_streams()
    begun = time.monotonic()
    keep = "--keep" in sys.argv[1:] or os.environ.get("KEEP", "") not in ("", "0")
    try:
        tool("probe")
        with Lab("spw") as lab:
            print("namespaces: " + " ".join(sorted(lab.ns(n) for n in (
                "lan", "gw", "sw", "er", "inet", "azure", "vnet"))), flush=True)
            broken = show(lab, keep, begun)
    except LabError as error:
        print("demo: %s (logs: %s)" % (error, os.path.join(OUT_DIR, "logs")), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
