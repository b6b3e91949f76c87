# SPDX-License-Identifier: BSD-3-Clause
"""Clocks that jump and processes that stand still (F10): no tunnel is lost by it.

Short form: 6 jumps and iked stopped for 8 s; SPILLWAY_LAB_LONG=1: 100 jumps and 60 s.
"""
import os
import signal
import struct
import time

from bed import LONG, Bed
from net import now_ns, send, wait_until
from product import Gateway
from scenario import leaves_bed_clean, long_form
from traffic import tool

YEAR = 365 * 86400
JUMPS = 100 if LONG else 6
STOPPED_S = 60 if LONG else 8
SETTLE_S = 3
WORDS = ("tunnel-down", "peer is dead", "rekeyed", "child-deleted", "cookie")


def spis(bed):
    return {(sa["initiator-spi"], sa["responder-spi"]) for sa in bed.lab.azure.ike_sas()} | \
        {(sa["spi-in"], sa["spi-out"]) for sa in bed.lab.azure.child_sas()}


class Clock:
    """The wall clock of the gateway's daemons, by a file that they map."""

    def __init__(self, path):
        self.path = path
        self.set(0)

    def set(self, seconds):
        with open(self.path, "r+b" if seconds else "wb") as out:
            out.write(struct.pack("=q", seconds))
            out.flush()


def told(bed, since):
    """What iked said since then that a jump of the clock must not cause."""
    return [line for line in bed.gateway.log("iked")[since:].splitlines() if any(w in line for w in WORDS)]


@long_form
def test_jumps_of_the_wall_clock_change_nothing():
    bed = Bed("spwclk")
    clock = None
    wrap = Gateway.wrap
    try:
        # the file is outside the lab's directory, which is made anew
        path = "/run/%s-clock" % bed.lab.prefix
        clock = Clock(path)
        Gateway.wrap = ("env", "LD_PRELOAD=" + tool("clockjump.so"), "CLOCKJUMP=" + path)
        with bed:
            jumps_change_nothing(bed, clock)
    finally:
        Gateway.wrap = wrap
        if clock:
            os.unlink(clock.path)


def takes_part(pid):
    """The process has the clock that jumps."""
    with open("/proc/%d/maps" % pid, encoding="utf-8", errors="replace") as text:
        return "clockjump.so" in text.read()


def jumps_change_nothing(bed, clock):
    for name, state in bed.gateway.status().items():
        assert takes_part(state["pid"]), "%s has the machine's clock" % name
    to_2038 = 2**31 - int(time.time()) - 2      # crosses the end of 32 bits two seconds later
    with bed.traffic() as span:
        begun = bed.into_tunnel()
        time.sleep(SETTLE_S)                    # the check of PFS rekeys once, soon after it is up
        wait_until(lambda: len(bed.lab.azure.child_sas()) == 1, 20, "one child SA", 0.2)
        before, log = spis(bed), len(bed.gateway.log("iked"))
        for number in range(JUMPS):
            clock.set((10 * YEAR, -86400, to_2038, 0)[number % 4])
            time.sleep(0.5 if LONG else 1)
        after = spis(bed)
        clock.set(0)
        ended = now_ns()
        bed.back_to_expressroute()
    assert after == before, "SAs are not those from before: %s, %s" % (before, after)
    assert not told(bed, log), told(bed, log)[0]
    span.expect_no_loss(begun)
    span.expect_in_tunnel(begun, ended)


@long_form
@leaves_bed_clean
def test_iked_that_stands_still_for_a_minute_loses_nothing(bed):
    """Timers that came due meanwhile run once: no verdict about the peer, no burst of rekeys."""
    before, log = spis(bed), len(bed.gateway.log("iked"))
    pid = bed.gateway.status()["iked"]["pid"]
    with bed.traffic() as span:
        begun = bed.into_tunnel()
        send(pid, signal.SIGSTOP)
        try:
            time.sleep(STOPPED_S)
        finally:
            send(pid, signal.SIGCONT)
        time.sleep(SETTLE_S)
        after = spis(bed)
        ended = now_ns()
        bed.back_to_expressroute()
    span.expect_no_loss(begun)
    span.expect_in_tunnel(begun, ended)
    assert after == before, "SAs are not those from before: %s, %s" % (before, after)
    assert not told(bed, log), told(bed, log)[0]
