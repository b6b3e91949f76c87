# SPDX-License-Identifier: BSD-3-Clause
"""Many prefixes come and go at once, and FRR itself; nobody else notices."""
import os
import signal
import time

import million
from bed import LONG
from bed_two import EDGES
from net import LabError, now_ns, send, wait_until
from scenario import bed_with, long_form
from test_links import FLUSH_S

PREFIXES = ["10.101.%d.%d/28" % (n // 16, n % 16 * 16) for n in range(4000)]   # Azure's own limit
STORM = "10.101.0.0/16"
ROUNDS = 20 if LONG else 3
SETTLE_S = 2.0
SAMPLES = PREFIXES[::1333] + PREFIXES[-1:]


def kernel_routes(two):
    shown = two.lab.run("gw", "ip", "route", "show", "root", STORM).stdout
    return sum(line.startswith("10.101.") for line in shown.splitlines())


def carriers(two):
    """What a worker does with one address of each sample: {kind of path: how many}."""
    found = {}
    for prefix in SAMPLES:
        host = prefix.rpartition("/")[0].rpartition(".")
        kind = two.gateway.show("fib", "%s.%d" % (host[0], int(host[2]) + 1)).get("kind")
        found[kind] = found.get(kind, 0) + 1
    return found


def wait_all_on(two, kind, routes, begun):
    """The kernel has so many of the prefixes, and within SETTLE_S the data plane follows."""
    wait_until(lambda: kernel_routes(two) == routes, 40, "%d routes in the kernel" % routes, 0.02)
    rib = time.monotonic()
    try:
        wait_until(lambda: carriers(two) == {kind: len(SAMPLES)}, SETTLE_S,
                   "the data plane to follow", 0.02)
    except LabError as late:
        raise AssertionError("%.1f s after the last update of the kernel the data plane has %s" % (
            time.monotonic() - rib, carriers(two))) from late
    return time.monotonic() - begun


@long_form
@bed_with(extra=["set vnet prod prefix " + STORM, "set vnet prod wait-to-restore 0"])
def test_a_storm_of_4000_prefixes_is_followed_and_others_lose_nothing(two):
    for edge in two.lab.edges.values():
        edge.change(extra=PREFIXES)
    wait_all_on(two, "expressroute", len(PREFIXES), time.monotonic())
    controls = [edge.bird.at_hand() for edge in two.lab.edges.values()]
    with two.traffic() as span:
        start = now_ns()
        for _ in range(ROUNDS):
            for word, kind, routes in (("disable", "tunnel", 0),
                                       ("enable", "expressroute", len(PREFIXES))):
                begun = time.monotonic()
                for control in controls:
                    control.tell(word + " extra")
                wait_all_on(two, kind, routes, begun)
        end = now_ns()
        time.sleep(FLUSH_S)
    for control in controls:
        control.close()
    span.expect_no_loss()
    span.expect_ways(EDGES, start, end)


@long_form
@bed_with()
def test_frr_killed_and_started_again_loses_nothing(two):
    switches = len(two.gateway.switches())
    with two.traffic() as span:
        start = now_ns()
        send(two.lab.frr.pids["bgpd"], signal.SIGKILL)
        time.sleep(1)
        two.lab.frr.restart(os.path.join(two.gateway.run_dir, "frr.conf"))
        two.wait_carrier("expressroute", 40)
        two.lab.wait_expressroute(60)
        two.wait_links(("primary", "secondary"), 40)
        end = now_ns()
        time.sleep(FLUSH_S)
    span.expect_no_loss()
    assert len(two.gateway.switches()) == switches, "the restart of FRR moved traffic"
    span.expect_ways(EDGES, start, end)


@long_form
def test_a_million_routes_are_installed_within_60_s_or_little_more_than_zebra_takes_alone():
    found = million.run(1000000)
    bar_s = max(60, 1.2 * found["zebra_s"])
    assert found["installed_s"] <= bar_s, "%(installed_s).1f s; zebra alone %(zebra_s).1f s" % found
