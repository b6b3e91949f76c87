# SPDX-License-Identifier: BSD-3-Clause
"""Route preference under traffic: each failure, the return, the operator's commands."""
import time

from acceptance import KINDS, Acceptance
from bed import WAIT_TO_RESTORE_S
from net import now_ns
from scenario import leaves_bed_clean, long_form
from traffic import SITE, SITE_PREFIX, VNET_PREFIX, Sniffer, within

CAUSES = {kind.key: kind for kind in KINDS}


def acceptance(bed, key, causes):
    test = Acceptance(bed.lab, bed.gateway, kinds=[CAUSES[key]], say=lambda line: None,
                      brisk=True)
    test.run()
    broken = test.judge()
    assert not broken, "; ".join(broken)
    switch = test.switch_after(test.rounds[0].event_ns, test.rounds[0].restore_ns)
    assert switch.get("cause") in causes, "the switch log says %s" % switch


@leaves_bed_clean
def test_withdrawal_moves_traffic_within_100_ms_and_back_without_loss(bed):
    acceptance(bed, "withdraw", ("withdrawn",))


@leaves_bed_clean
def test_frozen_edge_moves_traffic_within_1200_ms_and_back_without_loss(bed):
    acceptance(bed, "bfd", ("bfd-timeout",))


@leaves_bed_clean
def test_link_down_moves_traffic_within_100_ms_and_back_without_loss(bed):
    acceptance(bed, "link", ("link-down",))


@long_form
@leaves_bed_clean
def test_dead_bgp_session_is_a_lost_next_hop(bed):
    with bed.traffic():
        bed.lab.edge.disable("site")
        bed.gateway.wait_active("tunnel", 5)
        bed.lab.edge.enable("site")
        bed.gateway.wait_active("expressroute", 30)


@leaves_bed_clean
def test_operator_moves_traffic_by_hand_without_loss(bed):
    """Outbound loses nothing. Our drain withdraws the site's prefix, so the edge and the VNet change
    their path too and may lose packets between them: every inbound packet that reached the gateway's
    ExpressRoute port or entered Azure's tunnel must arrive."""
    port = Sniffer(bed.lab, "gw", "p-er", (SITE_PREFIX, VNET_PREFIX)).start()
    with bed.traffic() as span:
        start = now_ns()
        bed.gateway.shell("failover", "switch", "azure-a")
        bed.gateway.wait_active("tunnel", 5)
        moved = now_ns()
        time.sleep(2)
        before_resume = now_ns()
        bed.gateway.shell("failover", "resume")
        bed.gateway.wait_active("expressroute", 30)
        time.sleep(1)
    assert not span.flows["out"].lost(start), "lost %s" % span.flows["out"].lost(start)
    port.stop()
    reached = {p.probe_seq for p in port.packets() if p.is_probe and within(SITE, p.dst)}
    assert len(reached) > 1000, "the sniffer at the port saw nothing: the test proves nothing"
    reached |= span.watch.tunnelled_probes()["in"]
    lost = [seq for seq in span.flows["in"].lost(start) if seq in reached]
    assert not lost, "reached the gateway and were lost: %s" % lost
    tunnelled = span.watch.tunnelled_probes()["out"]
    held = [seq for stamp, seq, _ in span.flows["out"].received
            if moved + 10**8 < stamp < before_resume]
    assert held and all(seq in tunnelled for seq in held), "the switch did not hold"


@leaves_bed_clean
def test_lockout_keeps_traffic_out_of_the_tunnel(bed):
    bed.gateway.shell("failover", "lockout")
    with bed.traffic() as span:
        begun, ended = bed.without_circuit()
        time.sleep(1)
    crossed = [p for p in span.watch.transit("out") if begun < p.time_ns < ended]
    assert not crossed, "%d packets in a locked-out tunnel" % len(crossed)
    assert span.flows["out"].lost(begun, ended), "the withdrawal had no effect"
    bed.gateway.shell("failover", "resume")


@long_form
@leaves_bed_clean
def test_flapping_within_wait_to_restore_does_not_return(bed):
    bed.gateway.configure(["set vnet prod wait-to-restore 5"])
    with bed.traffic():
        bed.into_tunnel()
        before = len(bed.gateway.switches())
        bed.lab.announce()
        bed.lab.wait_expressroute()
        time.sleep(2)                    # shorter than those 5 s
        assert bed.gateway.active() != "expressroute", "returned before wait-to-restore"
        bed.lab.withdraw()
        time.sleep(4)
        assert len(bed.gateway.switches()) == before, "a flap was followed"
        bed.back_to_expressroute()
    bed.gateway.configure(["set vnet prod wait-to-restore %d" % WAIT_TO_RESTORE_S])
