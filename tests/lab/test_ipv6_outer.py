# SPDX-License-Identifier: BSD-3-Clause
"""A tunnel over IPv6 to strongSwan: both families inside, rekeys, failover there and back.

User-space ESP is in UDP, so what is on the wire shows the checksum rule of IPv6, too (NAT-17): a
packet without a checksum would be dropped by the peer's kernel (RFC 8200 8.1).
"""
import contextlib
import time

from bed_six import AZURE, GATEWAY, LAN_HOST, VNET_HOST
from net import now_ns, packet_socket, wait_until
from scenario import bed_with

TUNNEL = "azure-a"
UDP, UDP_4500 = 17, b"\x11\x94"


def child_spis(bed):
    return {(sa["spi-in"], sa["spi-out"]) for sa in bed.lab.azure.child_sas()}


def ike_spis(bed):
    return {(sa["initiator-spi"], sa["responder-spi"]) for sa in bed.lab.azure.ike_sas()
            if sa.get("state") == "ESTABLISHED"}


def renew(bed, present, start):
    before = present(bed)
    start()
    wait_until(lambda: present(bed) - before, 10, "a new SA", 0.05)
    time.sleep(0.3)


def esp_checksums(sock):
    """The UDP checksums of ESP in UDP over IPv6 among the frames heard."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frame = sock.recv(4096)
            if frame[12:14] == b"\x86\xdd" and frame[20] == UDP and UDP_4500 in (
                    frame[54:56], frame[56:58]) and frame[62:66] != bytes(4) and len(frame) > 70:
                found.append(frame[60:62])
    return found


@bed_with()
def test_a_tunnel_over_ipv6_carries_both_families_through_rekeys_and_failover(six):
    row = six.gateway.show("ike")["ike"][0]
    assert (row["local"], row["remote"]) == (GATEWAY, AZURE), row
    assert six.lab.azure.ike_sas()[0]["remote-id"] == GATEWAY
    pins = [r for r in six.gateway.show("route")["routes"] if r["prefix"] == AZURE + "/128"]
    assert pins and pins[0]["paths"][0]["interface"] == "wan0", pins
    # The LAN host's neighbour entry is made by the first packet back to it.
    wait_until(lambda: six.lab.ping("lan", LAN_HOST, VNET_HOST), 10, "IPv6 through the tunnel")
    with contextlib.closing(packet_socket(six.lab.ns("inet"), "gw0")) as wire:
        with six.traffic() as span:
            begun = six.into_tunnel()
            echoes = six.lab.ping("lan", LAN_HOST, VNET_HOST, count=10)
            assert echoes == 10, "%d of 10 echoes over IPv6 inside" % echoes
            renew(six, child_spis, lambda: six.gateway.shell("rekey", "tunnel", TUNNEL, "child"))
            renew(six, child_spis, six.lab.azure.rekey_child)
            renew(six, ike_spis, lambda: six.gateway.shell("rekey", "tunnel", TUNNEL, "ike"))
            renew(six, ike_spis, six.lab.azure.rekey_ike)
            echoes = six.lab.ping("lan", LAN_HOST, VNET_HOST, count=10)
            assert echoes == 10, "%d of 10 echoes over IPv6 inside" % echoes
            ended = now_ns()
            six.back_to_expressroute()
        checksums = esp_checksums(wire)
    assert len(checksums) > 1000, "%d packets of ESP over IPv6 seen" % len(checksums)
    assert bytes(2) not in checksums, "ESP in UDP over IPv6 without a checksum"
    span.expect_in_tunnel(begun, ended)
    span.expect_no_loss(begun)
