# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of each daemon under traffic.

Short form: iked is killed 3 times in a row, in the middle of rekeys too; SPILLWAY_LAB_LONG=1: 100 times,
25 under each of strongSwan's rules about duplicate IKE SAs.
"""
import random
import signal
import threading
import time

from bed import LONG
from net import now_ns, send, wait_until
from product import PROGRAMS
from scenario import ends_bed, leaves_bed_clean, long_form

SETTLE_S = 3
UNIQUE = ("never", "no", "keep", "replace") if LONG else ("never",)
KILLS = 25 if LONG else 3       # under each


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


@long_form
@leaves_bed_clean
def test_kill_iked_loses_nothing(bed):
    kill_twice_without_loss(bed, "iked")
    assert bed.gateway.tunnel_ready(), "iked came back without its tunnel"


def ike_spis(bed):
    return {(sa["initiator-spi"], sa["responder-spi"]) for sa in bed.lab.azure.ike_sas()
            if sa.get("state") == "ESTABLISHED"}


def is_whole(bed):
    """One IKE SA and one child SA at the peer, and the traffic is in the tunnel."""
    return len(ike_spis(bed)) == 1 and len(bed.lab.azure.child_sas()) == 1 and \
        bed.gateway.active() != "expressroute"


def end_iked(bed, how):
    """Kill iked, or tell it to hand over; return once its successor lives."""
    if how == signal.SIGKILL:
        since = bed.gateway.kill("iked")
    else:
        since = bed.lab.note("hand over: iked")
        bed.gateway.kills["iked"] += 1
        send(bed.gateway.status()["iked"]["pid"], how)
    bed.gateway.wait_restarted("iked", since)


def end_amid(bed, how, begin, delay_s):
    """End iked `delay_s` after `begin` was called; `begin` may fail for it."""
    thread = threading.Thread(target=begin)
    thread.start()
    time.sleep(delay_s)
    end_iked(bed, how)
    thread.join()


def go_on(bed, how, number):
    """End iked once; the same IKE SA goes on, or the one that a rekey under way makes of it."""
    azure = bed.lab.azure
    begins = (lambda: None,
              lambda: bed.gateway.shell("rekey", "tunnel", "azure-a", "child", check=False),
              lambda: azure.swanctl("--rekey", "--ike", "gw", check=False),
              lambda: azure.swanctl("--rekey", "--child", "net", check=False),
              lambda: bed.gateway.shell("rekey", "tunnel", "azure-a", "ike", check=False))
    which = number % len(begins)
    before = ike_spis(bed)
    end_amid(bed, how, begins[which], random.random() * 0.2)
    wait_until(lambda: is_whole(bed), 10, "one IKE SA and one child SA after end %d of iked" % number)
    if which not in (2, 4):
        assert ike_spis(bed) == before, "another IKE SA after end %d of iked" % number


def end_often(bed, how, ends):
    with bed.traffic() as span:
        begun = bed.into_tunnel()
        for number in range(ends):
            go_on(bed, how, number)
        ended = now_ns()
        bed.back_to_expressroute()
    span.expect_no_loss(begun)
    span.expect_in_tunnel(begun, ended)


@leaves_bed_clean
def test_killed_iked_goes_on_with_the_same_ike_sa(bed):
    for rule in UNIQUE:
        bed.lab.azure.load(extra_connection="unique = " + rule)
        end_often(bed, signal.SIGKILL, KILLS)
    bed.lab.azure.load(extra_connection="")
    assert "missing" not in bed.gateway.log("iked"), "a child SA was lost on the way"


@leaves_bed_clean
def test_iked_that_hands_over_is_followed_without_loss(bed):
    end_often(bed, signal.SIGUSR1, 2)


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


@long_form
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
