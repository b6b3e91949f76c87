# SPDX-License-Identifier: BSD-3-Clause
"""What BMP is for: withdrawals heard before the kernel tells them, and restarts of FRR that move
nothing. LONG: every way to restart it, each to the end of what the gateway grants it."""
import contextlib
import os
import signal
import statistics
import time

from bed import LONG
from net import send, wait_until
from scenario import bed_with, leaves_bed_clean, long_form

ROUNDS = 3 if LONG else 2
HEARD_MS = 15       # bird's command included; the kernel's table says it after some 60
OVER = "bgp restart-over"


@long_form
@leaves_bed_clean
def test_a_withdrawal_is_heard_before_the_kernel_tells_it(bed):
    heard = []
    for _ in range(ROUNDS):
        event = bed.lab.withdraw()
        bed.gateway.wait_active("tunnel", 5)
        time.sleep(1.2)
        switch = bed.gateway.switches()[-1]
        assert switch["cause"] == "withdrawn", "the switch log says %s" % switch
        heard.append((switch["at_ns"] - event) / 1e6)
        bed.back_to_expressroute()
    assert statistics.median(heard) < HEARD_MS, "heard after %s ms" % heard


def restart(bed, daemons, signo):
    """End daemons of FRR and start them again; controld gives them their configuration."""
    frr = bed.lab.frr
    for daemon in daemons:
        send(frr.pids[daemon], signo)
    wait_until(lambda: not any(os.path.exists("/proc/%d" % frr.pids[d]) for d in daemons), 10,
               "the end of " + ", ".join(daemons))
    time.sleep(1)
    for daemon in reversed(daemons):
        for ending in (".vty", ".pid"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(frr.dir, daemon + ending))
        frr._start_daemon(daemon, os.path.join(frr.dir, "empty.conf"))


def kernel_has_routes(bed):
    return "10.100." in bed.lab.run("gw", "ip", "route", "show", "proto", "bgp").stdout


def moves_nothing(bed, daemons, signo, deleted):
    """`deleted`: the kernel loses the routes meanwhile, or the scenario proves nothing."""
    gateway = bed.gateway
    switches, overs = len(gateway.switches()), gateway.log("controld").count(OVER)
    ups = gateway.log("controld").count("bgp session-up")
    restart(bed, daemons, signo)
    assert kernel_has_routes(bed) != deleted, "the kernel's routes are not as this restart leaves them"
    wait_until(lambda: gateway.log("controld").count("bgp session-up") > ups, 30, "bgpd to be back")
    if LONG:
        wait_until(lambda: gateway.log("controld").count(OVER) > overs, 130, "the restart's end", 1)
        assert kernel_has_routes(bed)
    time.sleep(2)
    assert gateway.active() == "expressroute"
    made = gateway.switches()[switches:]
    assert not made, "the restart of %s moved traffic: %s" % (daemons, made)


def without_bfd(lines):
    """BIRD begins its BFD anew with its BGP session, which is a sign of its own."""
    return [line for line in lines if " bfd" not in line]


@long_form
@bed_with(config=without_bfd)
def test_a_restart_of_bgpd_moves_nothing(bed):
    wait_until(lambda: kernel_has_routes(bed), 10, "the VNet's routes")
    moves_nothing(bed, ["bgpd"], signal.SIGTERM, True)
    if LONG:
        moves_nothing(bed, ["bgpd"], signal.SIGKILL, False)
        moves_nothing(bed, ["bgpd", "zebra"], signal.SIGTERM, True)
