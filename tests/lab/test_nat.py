# SPDX-License-Identifier: BSD-3-Clause
"""A NAT before one of the gateways, and what it does when it forgets (F22, NAT-09, NAT-12).

Before Azure's gateway: ours has to learn the new mapping, from the first authentic packet that is
newer than all before it. Before ours: the peer has to. strongSwan's user-space ESP learns from IKE
alone, so there the way is open again when our probe for a silent peer has come, and it makes a new
child SA, because it cannot move one; neither is a rekey of ours.

Short form: our gateway behind the NAT, idle. SPILLWAY_LAB_LONG=1: all of them, 100 remaps amid
traffic (3 where the scenario is named without it).
"""
import contextlib
import random
import statistics
import time

from bed import LONG
from bed_nat import OURS
from lab import ADDRESSES
from net import now_ns, packet_socket, wait_until
from scenario import bed_with, long_form

REMAPS = 100 if LONG else 3
ROUND_TRIP_MS = 30      # between a site and its Azure region; the lab's own is shorter
APART_S = 1.1           # the data plane tells of one new mapping a second
WORST_MS = 250          # of one remap, whatever else the machine was doing
DPD_S = 15 if LONG else 3
IDLE_S = 20 if LONG else DPD_S + 5
TUNNEL = "azure-a"
UDP_4500 = b"\x11\x94"


def ike(bed):
    return next(row for row in bed.gateway.show("ike")["ike"] if row["peer"] == TUNNEL)


def ike_spis(bed):
    return {(sa["initiator-spi"], sa["responder-spi"]) for sa in bed.lab.azure.ike_sas()
            if sa.get("state") == "ESTABLISHED"}


def unchecked(lines):
    """Without the forced rekey after the tunnel's coming up: rekeys are counted here."""
    return lines + ["set tunnel %s pfs-check false" % TUNNEL]


def rekeys(bed):
    row = ike(bed)
    return row["ike_rekeys"], row["child_rekeys"], row["spi_i"]


class Recorder:
    """Frames of ESP in UDP from Azure to our gateway, and the means to send them once more."""

    def __init__(self, lab):
        self.sock = packet_socket(lab.ns("inet"), "gw0")
        self.frames = []

    def take(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = self.sock.recv(4096)
                source, ports, marker = frame[26:30], frame[34:38], frame[42:46]
                if frame[12:14] == b"\x08\x00" and frame[23] == 17 and marker != bytes(4) and \
                        ports[2:4] == UDP_4500 and source == bytes(
                            map(int, ADDRESSES["azure_wan"].split("."))) and len(frame) > 60:
                    self.frames.append(frame)
        return len(self.frames)

    def replay(self, count):
        old = self.frames[-count:]
        for frame in old:
            self.sock.send(frame)
        return len(old)

    def close(self):
        self.sock.close()


def lost_ms(flow, since, until, rate):
    """Packets lost in a span as the time in which they were sent."""
    return len(flow.lost(since, until)) * 1000 / rate


def expect_short(gaps):
    print("gaps in ms: %s" % gaps)
    assert any(gaps), "no packet was lost at all: was there a remap?"
    assert statistics.median(gaps) <= ROUND_TRIP_MS, "gaps of %s ms" % gaps
    assert max(gaps) <= WORST_MS, "gaps of %s ms" % gaps


@long_form
@bed_with(behind="azure", config=unchecked)
def test_a_remap_before_azure_amid_traffic_costs_a_round_trip_and_no_rekey(nat):
    assert ike(nat)["nat"] == "there"
    spis, stamps = ike_spis(nat), []
    with contextlib.closing(Recorder(nat.lab)) as recorder:
        with nat.traffic() as span:
            nat.into_tunnel()
            before = rekeys(nat)
            for _ in range(REMAPS):
                recorder.take()
                stamps.append(nat.lab.remap())
                time.sleep(APART_S + random.random() / 2)
            ended = now_ns()
        span.expect_in_tunnel(stamps[0], ended)
        with nat.span().measured() as later:
            begun = now_ns()
            assert recorder.replay(200) == 200, "too few packets were recorded"
            time.sleep(1)
            replayed = now_ns()
        later.expect_in_tunnel(begun, replayed)
    assert rekeys(nat) == before, "a remap made rekeys: %s, %s" % (before, rekeys(nat))
    assert ike_spis(nat) == spis
    expect_short([lost_ms(span.flows["out"], at, until, 1000)
                  for at, until in zip(stamps, stamps[1:] + [ended])])
    assert not span.flows["in"].lost(stamps[0], ended), "what Azure sent was lost"
    assert not later.flows["out"].lost(begun, replayed), \
        "replayed packets of the old mapping moved the tunnel back"


def behind(lines):
    return unchecked(lines) + ["set tunnel %s dpd delay %d" % (TUNNEL, DPD_S)]


@long_form
@bed_with(behind="gw", config=behind)
def test_behind_a_nat_with_the_public_address_as_identity_a_remap_is_mended_by_our_probe(nat):
    row = ike(nat)
    assert row["nat"] in ("here", "both") and row["local"] == OURS, row
    assert all(sa["nat_t"] for sa in nat.gateway.show("ipsec", "sa")["sas"])
    assert nat.lab.azure.ike_sas()[0]["remote-id"] == ADDRESSES["gateway_wan"]
    started = row["ike_rekeys"], row["spi_i"]
    at = nat.lab.remap()
    wait_until(lambda: nat.peer_port() == nat.lab.mapped, IDLE_S,
               "the peer to know our new port", 0.2)
    print("idle: %.1f s" % ((now_ns() - at) / 1e9))
    with nat.traffic() as span:
        begun = nat.into_tunnel()
        time.sleep(1)
        ended = now_ns()
        nat.back_to_expressroute()
    span.expect_in_tunnel(begun, ended)
    span.expect_no_loss(begun)
    assert (ike(nat)["ike_rekeys"], ike(nat)["spi_i"]) == started, "the IKE SA is another"


@long_form
@bed_with(behind="gw", config=behind)
def test_behind_a_nat_amid_traffic_what_we_send_is_never_lost_and_the_way_back_is_found(nat):
    before = ike(nat)["spi_i"]
    with nat.traffic() as span:
        begun = nat.into_tunnel()
        at = nat.lab.remap()
        wait_until(lambda: nat.peer_port() == nat.lab.mapped, IDLE_S, "the new port", 0.2)
        time.sleep(2)
        ended = now_ns()
    assert not span.flows["out"].lost(begun, ended), "what we sent was lost"
    assert span.flows["in"].longest_gap_ms(at, ended) <= 1000 * IDLE_S
    assert ike(nat)["spi_i"] == before, "the IKE SA is another"


def dialled(lines):
    return lines + ["set tunnel %s mode respond" % TUNNEL]


def comes_up_and_carries(nat, role):
    assert ike(nat)["role"] == role, ike(nat)
    with nat.traffic() as span:
        begun = nat.into_tunnel()
        time.sleep(1)
        ended = now_ns()
    span.expect_in_tunnel(begun, ended)
    span.expect_no_loss(begun, ended)


@long_form
@bed_with(behind="gw", forwarded=True, config=dialled, azure={"start_action": "start"})
def test_behind_a_nat_we_are_dialled_through_a_forwarded_port(nat):
    comes_up_and_carries(nat, "responder")


@long_form
@bed_with(behind="azure", forwarded=True, azure={"start_action": "none"})
def test_azure_behind_a_nat_is_dialled_through_a_forwarded_port(nat):
    comes_up_and_carries(nat, "initiator")
