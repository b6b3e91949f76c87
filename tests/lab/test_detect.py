# SPDX-License-Identifier: BSD-3-Clause
"""What sees a failure that routing does not, and what must not be taken for one."""
import signal
import time

from bed import LONG
from bed_two import EDGES, SITE_PREFIX, TUNNELS
from net import now_ns, send
from scenario import leaves_bed_clean, long_form
from test_links import FLUSH_S, calm

BLACK_HOLE_MS = 3000
TOLD_S = 10
STALLS, LONG_STALLS = 3, 334     # of each of three processes: 1,000 and more
STALL_S = 0.2
TOGETHER_NS = 10**9
FLAPS, FLAP_SPAN_S = (100, 60) if LONG else (20, 12)


def wait_told(edge, told, timeout):
    """Until the edge's router has, or has not, the site's prefix of us."""
    end = time.monotonic() + timeout
    while edge.bird.has_route(SITE_PREFIX) != told:
        assert time.monotonic() < end, "the site is %s to %s after %d s" % (
            "not announced" if told else "announced still", edge.ns, timeout)
        time.sleep(0.2)


def moves(switches):
    """(from, to, when in s) of a switch log; prefixes that move together are one move."""
    found = []
    for switch in switches:
        back = switch["to"] == "expressroute"
        if not found or found[-1][0] != back or switch["at_ns"] - found[-1][1] > TOGETHER_NS:
            found.append((back, switch["at_ns"]))
    return [("back" if back else "over", round(at / 1e9, 2)) for back, at in found]


@leaves_bed_clean
def test_a_black_hole_behind_one_edge_is_left_within_3_s_for_the_other_link(two):
    edge = two.lab.edges[1]
    with two.traffic() as span:
        before = calm(1)
        broken = edge.break_transit()
        two.wait_links(("secondary",), 6)
        alone = calm(0.5)
        assert edge.bird.established("site"), "BGP went down: that was no black hole"
        wait_told(edge, False, TOLD_S)
        assert two.lab.edges[2].bird.has_route(SITE_PREFIX)
        edge.mend_transit()
        two.wait_links(("primary", "secondary"), 30)
        wait_told(edge, True, TOLD_S)
        time.sleep(FLUSH_S)
    flows = span.flows_on("er1", *before)
    gap = span.longest_gap_ms(broken, alone[1], "out", flows)
    assert flows and gap <= BLACK_HOLE_MS, "a flow stood still for %.0f ms" % gap
    for name in TUNNELS:
        assert not span.ways.probes(name), "packets in %s while a link stood" % name


@long_form
@leaves_bed_clean
def test_a_black_hole_behind_both_edges_is_left_within_3_s_for_the_tunnel(two):
    with two.traffic() as span:
        time.sleep(0.7)
        broken = two.lab.lose_both("break_transit")[0]
        two.wait_carrier("tunnel", 6)
        away = calm(1)
        two.lab.lose_both("mend_transit")
        two.wait_carrier("expressroute", 30)
        time.sleep(FLUSH_S)
    gap = span.flows["out"].longest_gap_ms(broken, away[1])
    assert gap <= BLACK_HOLE_MS, "traffic stood still for %.0f ms" % gap
    assert span.flows_on("azure1", *away) | span.flows_on("azure2", *away)
    assert not span.flows_on("er1", *away) | span.flows_on("er2", *away)


@leaves_bed_clean
def test_stalls_of_the_other_processes_move_nothing(two):
    """BFD is the data plane's: 200 ms in which controld, iked or bgpd stand still are no failure."""
    pids = {name: two.gateway.status()[name]["pid"] for name in ("controld", "iked")}
    pids["bgpd"] = two.lab.frr.pids["bgpd"]
    switches = len(two.gateway.switches())
    with two.traffic() as span:
        start = now_ns()
        for _ in range(LONG_STALLS if LONG else STALLS):
            for pid in pids.values():
                send(pid, signal.SIGSTOP)
                time.sleep(STALL_S)
                send(pid, signal.SIGCONT)
                time.sleep(0.05)
        end = now_ns()
        time.sleep(FLUSH_S)
    span.expect_no_loss()
    span.expect_ways(EDGES, start, end)
    assert len(two.gateway.switches()) == switches, "a stall was taken for a failure"
    for edge in two.lab.edges.values():
        assert edge.up(), "a BGP session of %s fell" % edge.ns


@leaves_bed_clean
def test_a_storm_of_flaps_is_one_switch_over_and_one_back(two):
    before = len(two.gateway.switches())
    with two.traffic() as span:
        time.sleep(0.7)
        first = now_ns()
        for _ in range(FLAPS):
            two.lab.lose_both("withdraw")
            time.sleep(FLAP_SPAN_S / FLAPS / 2)
            two.lab.lose_both("announce")
            time.sleep(max(0.0, FLAP_SPAN_S / FLAPS / 2 - 0.02))
        last = now_ns()
        two.wait_carrier("expressroute", 60)
        two.lab.wait_expressroute()
        two.wait_links(("primary", "secondary"), 30)
        after = calm(1)
        time.sleep(FLUSH_S)
    made = moves(two.gateway.switches()[before:])
    assert len(made) <= 2, "%d switches in %d flaps: %s" % (len(made), FLAPS, made)
    settled = first + 10**9
    lost = span.flows["out"].lost(settled, last)
    assert not lost, "%d packets lost after the first switch" % len(lost)
    span.expect_ways(EDGES, *after)
    span.expect_no_loss(since=last)
