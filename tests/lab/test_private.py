# SPDX-License-Identifier: BSD-3-Clause
"""IPsec over private peering: the tunnel over the circuit first, the Internet's behind it, and
nothing of the site on the circuit in the clear, whatever fails."""
import time

from bed_private import PRIVATE, PUBLIC
from lab import ADDRESSES, SITE_PREFIX
from net import now_ns, wait_until
from scenario import leaves_bed_clean, long_form
from test_links import FLUSH_S, calm

GAP_MS = 100


def readiness(private):
    """(verdict, name of the standby, findings) of the vnet."""
    entry = private.gateway.show("failover", "readiness")["vnets"][0]
    return entry["verdict"], entry["standby"], entry["findings"]


def lose_the_circuit(private, lose, restore, gap_ms=GAP_MS):
    """Over to the Internet tunnel and back; the return loses nothing."""
    with private.traffic() as span:
        before = calm(0.8)
        event = lose()
        private.wait_carrier(PUBLIC, 5)
        time.sleep(0.5)
        away = calm(0.8)
        behind = readiness(private)
        back = restore()
        private.wait_carrier(PRIVATE, 30)
        private.lab.wait_expressroute()
        time.sleep(0.3)
        after = calm(0.8)
        time.sleep(FLUSH_S)
    span.expect_way(PRIVATE, *before)
    span.expect_way(PUBLIC, *away)
    span.expect_way(PRIVATE, *after)
    assert span.esp_on_circuit(), "no ESP on the circuit: the scenario proves nothing"
    gap = span.longest_gap_ms(event, away[1])["out"]
    assert gap <= gap_ms, "the flow stood still for %.0f ms" % gap
    span.expect_no_loss(since=back)
    assert behind[:2] == ("not-ready", None) and "expressroute: " in behind[2][0], behind


@leaves_bed_clean
def test_a_withdrawn_circuit_moves_to_the_internet_tunnel_and_back_without_loss(private):
    lose_the_circuit(private, private.lab.withdraw, private.lab.announce)


@long_form
@leaves_bed_clean
def test_a_cut_circuit_moves_to_the_internet_tunnel_and_back_without_loss(private):
    lose_the_circuit(private, private.lab.link_down, private.lab.link_up)


@long_form
@leaves_bed_clean
def test_a_silent_circuit_moves_to_the_internet_tunnel_within_1_s(private):
    lose_the_circuit(private, private.lab.freeze_edge, private.lab.thaw_edge, 1000)


@long_form
@leaves_bed_clean
def test_a_lost_private_tunnel_never_leaves_the_circuit_to_clear_packets(private):
    """The circuit stands, its route too: the Internet tunnel carries, the circuit nothing."""
    with private.traffic() as span:
        private.lab.lose_private()
        private.wait_carrier(PUBLIC, 5)
        time.sleep(0.5)
        away = calm(0.8)
        assert private.lab.expressroute_up_at_edge(), "the circuit fell: that proves nothing"
        private.lab.mend_private()
        private.wait_carrier(PRIVATE, 30)
        private.lab.wait_expressroute()
        time.sleep(0.3)
        after = calm(0.8)
        time.sleep(FLUSH_S)
    span.expect_way(PUBLIC, *away)
    span.expect_way(PRIVATE, *after)


@leaves_bed_clean
def test_only_the_internet_tunnel_is_the_standby(private):
    """The tunnel over the circuit would go with it."""
    assert readiness(private)[:2] == ("ready", PUBLIC), readiness(private)
    assert private.gateway.candidates()["expressroute"] == "up", private.gateway.failover()
    private.lab.lose_public()
    wait_until(lambda: private.gateway.candidates()[PUBLIC] == "down", 5, "the end of the tunnel")
    seen = readiness(private)
    private.lab.mend_public()
    assert private.gateway.active() == PRIVATE
    assert seen[:2] == ("not-ready", None) and PUBLIC in seen[2][0], seen


@long_form
@leaves_bed_clean
def test_without_any_tunnel_all_is_dropped_while_the_circuit_stands(private):
    """The span's own check for packets in the clear is the point."""
    with private.traffic() as span:
        private.lab.lose_private()
        private.lab.lose_public()
        time.sleep(2)
        down = calm(1)
        private.lab.mend_private()
        private.lab.mend_public()
        private.wait_carrier(PRIVATE, 40)
        private.lab.wait_expressroute()
        back = now_ns()
        time.sleep(0.8)
    passed = [seq for stamp, seq, _ in span.flows["out"].received if down[0] < stamp < down[1]]
    assert not passed, "%d packets passed without a tunnel" % len(passed)
    assert not span.flows["out"].lost(back, back + 4 * 10**8), "losses after the return"


@leaves_bed_clean
def test_what_the_tunnel_carries_is_not_announced_beside_it(private):
    """Azure would answer in the clear: the commit is refused, and nothing has changed."""
    gateway = private.gateway
    kept = gateway.configuration()
    neighbor = "set routing bgp neighbor %s announce " % ADDRESSES["edge_er"]
    for prefix in (SITE_PREFIX, "10.1.7.0/24"):
        refused = gateway.configure([neighbor + prefix], check=False)
        said = refused.stdout + refused.stderr
        assert refused.returncode != 0, "%s was taken: %s" % (prefix, said)
        assert "announce %s: tunnel %s of vnet prod" % (prefix, PRIVATE) in said and \
            "in the clear" in said, said
        gateway.shell("configure", "discard", check=False)
    assert gateway.configuration() == kept, "a refused commit has changed the configuration"
    told = private.lab.edge.ctl("show", "route", "protocol", "site")
    assert SITE_PREFIX not in told, "the edge was told %s" % told
    assert private.gateway.active() == PRIVATE
