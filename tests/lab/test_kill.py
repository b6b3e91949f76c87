# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of each daemon under traffic."""
import time

from net import now_ns, wait_until
from product import PROGRAMS
from scenario import ends_bed, leaves_bed_clean

SETTLE_S = 3


def kill_twice_without_loss(bed, name):
    """Kill on ExpressRoute and in the tunnel: nothing is lost, and the daemon comes back."""
    with bed.traffic() as span:
        start = now_ns()
        killed = bed.gateway.kill(name)
        bed.gateway.wait_restarted(name, killed)
        time.sleep(SETTLE_S)
        calm = now_ns()
        bed.gateway.wait_ready()
        begun = bed.into_tunnel()
        killed = bed.gateway.kill(name)
        bed.gateway.wait_restarted(name, killed)
        time.sleep(SETTLE_S)
        ended = now_ns()
        assert bed.gateway.active() != "expressroute", "the restart moved the traffic"
        bed.back_to_expressroute()
    span.expect_no_loss(start, calm)
    span.expect_no_loss(begun)
    span.expect_in_tunnel(begun, ended)
    span.expect_outside_tunnel(start, calm)


@leaves_bed_clean
def test_kill_iked_loses_nothing(bed):
    kill_twice_without_loss(bed, "iked")
    assert bed.gateway.tunnel_ready(), "iked came back without its tunnel"


@leaves_bed_clean
def test_kill_controld_loses_nothing(bed):
    before = bed.gateway.configuration()
    kill_twice_without_loss(bed, "controld")
    assert bed.gateway.configuration() == before, "the configuration changed over a restart"


@leaves_bed_clean
def test_kill_dataplane_is_back_within_5_s_with_new_keys(bed):
    with bed.traffic() as span:
        bed.into_tunnel()
        old = {sa["spi-in"] for sa in bed.lab.azure.child_sas()}
        killed = bed.gateway.kill("dataplane")
        bed.gateway.wait_restarted("dataplane", killed)
        wait_until(lambda: {sa["spi-in"] for sa in bed.lab.azure.child_sas()} - old, 10,
                   "a child SA with new keys")
        time.sleep(6)
        ended = now_ns()
        bed.back_to_expressroute()
    gaps = span.longest_gap_ms(killed, ended)
    assert max(gaps.values()) <= 5000, "traffic stood still for %s ms" % gaps
    after = [p for p in span.watch.internet.packets()
             if p.spi and p.time_ns > killed + 10**9 and "%08x" % p.spi in old]
    assert not after, "%d packets under a key from before the crash" % len(after)


@leaves_bed_clean
def test_kill_dataplane_on_expressroute_is_back_within_5_s(bed):
    with bed.traffic() as span:
        killed = bed.gateway.kill("dataplane")
        bed.gateway.wait_restarted("dataplane", killed)
        time.sleep(7)
        ended = now_ns()
    gaps = span.longest_gap_ms(killed, ended)
    assert max(gaps.values()) <= 5000, "traffic stood still for %s ms" % gaps
    bed.gateway.wait_ready()


@ends_bed
def test_sigterm_stops_every_daemon_in_order(bed):
    bed.gateway.stop()
    ends = {name: state["last_exit"] for name, state in bed.gateway.status().items()}
    assert ends == dict.fromkeys(PROGRAMS, 0), "exit statuses after SIGTERM: %s" % ends
