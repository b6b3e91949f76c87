# SPDX-License-Identifier: BSD-3-Clause
"""Two ExpressRoute links and two tunnels: which way each flow goes, and what it loses."""
import time

from bed_two import EDGES, TUNNELS
from net import now_ns
from scenario import leaves_bed_clean, long_form

LINK_GAP_MS = 100
FLUSH_S = 0.3           # what is in flight arrives


def calm(seconds):
    """A stretch of undisturbed traffic: (start, end)."""
    start = now_ns()
    time.sleep(seconds)
    return start, now_ns()


def lose_one(two, lose, restore):
    """Lose one link's next hop and get it back: (span, flows of the lost link, its times)."""
    with two.traffic() as span:
        before = calm(1)
        event = lose()
        two.wait_links(("secondary",), 5)
        moved = now_ns()
        alone = calm(1)
        back = restore()
        two.wait_links(("primary", "secondary"), 30)
        two.lab.wait_expressroute()
        after = calm(1)
        time.sleep(FLUSH_S)
    lost_link = span.flows_on("er1", *before)
    other = span.flows_on("er2", *before)
    span.expect_ways(EDGES, *before)
    span.expect_ways(("er2",), *alone)
    span.expect_ways(EDGES, *after)
    assert lost_link and other and not lost_link & other, "a flow took both links"
    assert span.flows_on("er2", *alone) == lost_link | other, "a flow was left behind"
    assert span.flows_on("er1", *after) == lost_link, "the flows did not come back to their link"
    for name in TUNNELS:
        assert not span.ways.probes(name), "packets in %s while a link stood" % name
    span.expect_no_loss(flows=other, directions=("out",))
    span.expect_no_loss(since=back)
    return span, lost_link, event, moved


@long_form
@leaves_bed_clean
def test_both_links_carry_each_flow_on_one_of_them(two):
    with two.traffic() as span:
        start, end = calm(1.5)
        time.sleep(FLUSH_S)
    for direction in ("out", "in"):
        span.expect_ways(EDGES, start, end, direction)
        shared = span.flows_on("er1", start, end, direction) & \
            span.flows_on("er2", start, end, direction)
        assert not shared, "flows %s took both links" % shared
    span.expect_no_loss()


@leaves_bed_clean
def test_a_cut_link_moves_its_flows_to_the_other_link(two):
    span, flows, event, moved = lose_one(two, lambda: two.lab.edges[1].link(False),
                                         lambda: two.lab.edges[1].link(True))
    gap = span.longest_gap_ms(event, moved + 10**9, "out", flows)
    assert gap <= LINK_GAP_MS, "a flow stood still for %.0f ms" % gap


@long_form
@leaves_bed_clean
def test_a_withdrawal_on_one_link_moves_its_flows_to_the_other_link(two):
    lose_one(two, two.lab.edges[1].withdraw, two.lab.edges[1].announce)


@leaves_bed_clean
def test_longer_paths_drain_a_link_without_loss(two):
    """Microsoft prepends to both sides before it takes a link into maintenance."""
    edge = two.lab.edges[1]
    with two.traffic() as span:
        before = calm(1)
        edge.change(prepend=8)
        two.wait_links(("secondary",), 5)
        drained = calm(1)
        edge.change(prepend=0)
        two.wait_links(("primary", "secondary"), 30)
        two.lab.wait_expressroute()
        after = calm(1)
        time.sleep(FLUSH_S)
    span.expect_ways(EDGES, *before)
    span.expect_ways(("er2",), *drained)
    span.expect_ways(EDGES, *after)
    span.expect_no_loss()


@leaves_bed_clean
def test_both_links_withdrawn_moves_to_both_tunnels_and_back_without_loss(two):
    with two.traffic() as span:
        two.lab.lose_both("withdraw")
        two.wait_carrier("tunnel", 5)
        time.sleep(0.3)
        away = calm(1.2)
        back = two.lab.lose_both("announce")[0]
        two.wait_carrier("expressroute", 30)
        two.wait_links(("primary", "secondary"), 30)
        two.lab.wait_expressroute()
        after = calm(1)
        time.sleep(FLUSH_S)
    span.expect_ways(TUNNELS, *away)
    span.expect_ways(EDGES, *after)
    assert not span.flows_on("azure1", *away) & span.flows_on("azure2", *away), \
        "a flow took both tunnels"
    span.expect_no_loss(since=back)


@long_form
@leaves_bed_clean
def test_of_two_tunnels_one_dies_and_the_others_flows_lose_nothing(two):
    with two.traffic() as span:
        two.lab.lose_both("withdraw")
        two.wait_carrier("tunnel", 5)
        time.sleep(0.3)
        before = calm(1)
        died = two.lab.azure_dies(1)
        time.sleep(4)
        moved = calm(1)
        two.lab.azure_lives(1)
        two.lab.lose_both("announce")
        two.wait_carrier("expressroute", 40)
        two.lab.wait_expressroute()
        time.sleep(FLUSH_S)
    died_flows = span.flows_on("azure1", *before)
    living = span.flows_on("azure2", *before)
    assert died_flows and living, "the two tunnels did not both carry"
    span.expect_no_loss(before[0], moved[1], flows=living, directions=("out",))
    span.expect_ways(("azure2",), *moved)
    gap = span.longest_gap_ms(died, moved[1], "out", died_flows)
    assert gap <= 3500, "flows of the dead tunnel stood still for %.0f ms" % gap


@long_form
@leaves_bed_clean
def test_both_ways_down_leaks_nothing_and_is_back_within_5_s(two):
    """The standing check of the span is the point: nothing in the clear on the Internet."""
    with two.traffic() as span:
        two.lab.lose_both("withdraw")
        for device in ("az1", "az2"):
            two.lab.run("inet", "ip", "link", "set", device, "down")
        time.sleep(5)
        down = calm(0.5)
        for device in ("az1", "az2"):
            two.lab.run("inet", "ip", "link", "set", device, "up")
        back = two.lab.lose_both("announce")[0]
        two.wait_carrier("expressroute", 30)
        two.lab.wait_expressroute()
        after = calm(1)
    first = min(stamp for stamp, _, sent in span.flows["out"].received if sent > down[1])
    way = [name for name in EDGES + TUNNELS if span.on_way(name, down[1], first)]
    assert first - back <= 5 * 10**9, "back %.1f s after the links, over %s" % (
        (first - back) / 1e9, way)
    assert not span.flows["out"].lost(after[0], after[1]), "losses after the return"
