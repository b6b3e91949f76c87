# SPDX-License-Identifier: BSD-3-Clause
"""Two tunnels to one Azure gateway from two Internet uplinks: the address that a tunnel starts from
decides by which it leaves, IKE and ESP alike.

    gw == two uplinks == inet -- azure

strongSwan answers both by one connection; what it sends back takes whichever SA it made last.
"""
import contextlib
import time

from bed import Bed
from lab import ADDRESSES, Lab
from net import packet_socket, wait_until
from product import Gateway
from scenario import long_form
from traffic import ProbePair

SECOND, SECOND_ROUTER = "198.51.200.2", "198.51.200.1"
FLOWS, RATE, SPAN_S = 16, 400, 2
LINES = """\
set interfaces wan0 gateway {first_router}
set interfaces wan1 device net_af_packet3,iface=p-wan2,qdisc_bypass=1
set interfaces wan1 role internet
set interfaces wan1 address {second}/24
set interfaces wan1 gateway {second_router}
set tunnel azure-b local-address {second}
set tunnel azure-b remote-address {azure}
set tunnel azure-b pre-shared-key-file azure-a.psk
set tunnel azure-b profile azure-custom-gcm256-ecp384
set vnet prod tunnel azure-b
""".format(first_router=ADDRESSES["inet_wan"], second=SECOND, second_router=SECOND_ROUTER,
           azure=ADDRESSES["azure_wan"]).splitlines()


class LabUplinks(Lab):
    """The lab of one link with a second wire to the Internet."""

    wires = Lab.wires + (("gw", "p-wan2", "inet", "gw1"),)
    gateway_ports = Lab.gateway_ports + ("p-wan2",)
    setup = dict(Lab.setup, inet=Lab.setup["inet"] + ["addr add %s/24 dev gw1" % SECOND_ROUTER])

    def _make_daemons(self, vnet_prefixes, azure):
        super()._make_daemons(vnet_prefixes, azure)
        self.azure.policy.update(remote="%s,%s" % (ADDRESSES["gateway_wan"], SECOND),
                                 remote_id="%any")


class BedUplinks(Bed):
    """The demo's gateway with two uplinks and a tunnel over each."""

    def __init__(self, prefix="spwup"):
        super().__init__(prefix)
        self.lab = LabUplinks(prefix)
        self.gateway = Gateway(self.lab)

    def configuration_lines(self):
        return super().configuration_lines() + LINES


def heard(sock):
    """{source address: (packets of IKE, packets of ESP)} of UDP 4500 among the frames heard."""
    found = {}
    with contextlib.suppress(BlockingIOError):
        while True:
            frame = sock.recv(4096)
            if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != b"\x11\x94":
                continue
            source = ".".join(map(str, frame[26:30]))
            ike, esp = found.get(source, (0, 0))
            marker = frame[42:46] == bytes(4)
            found[source] = (ike + marker, esp + (not marker and len(frame) > 60))
    return found


def both_established(bed):
    rows = bed.gateway.show("ike")["ike"]
    return len(rows) == 2 and all(r["state"] == "established" and r["children"] for r in rows)


@long_form
def test_two_tunnels_to_one_far_end_leave_by_the_uplink_of_their_own_address():
    with BedUplinks() as bed, contextlib.ExitStack() as stack:
        wait_until(lambda: both_established(bed), 20, "both tunnels: %s" %
                   bed.gateway.show("ike")["ike"], 0.5)
        wires = [stack.enter_context(contextlib.closing(packet_socket(bed.lab.ns("inet"), d)))
                 for d in ("gw0", "gw1")]
        bed.into_tunnel()
        for wire in wires:
            heard(wire)
        probes = ProbePair(bed.lab, rate=RATE, flows=FLOWS).start()
        for tunnel in ("azure-a", "azure-b"):
            bed.gateway.shell("rekey", "tunnel", tunnel, "child")
        time.sleep(SPAN_S)
        flows = probes.stop()
        first, second = map(heard, wires)
    gateway, azure = ADDRESSES["gateway_wan"], ADDRESSES["azure_wan"]
    assert set(first) <= {gateway, azure}, "on the first uplink: %s" % first
    assert set(second) <= {SECOND, azure}, "on the second uplink: %s" % second
    assert all(first[gateway]), "IKE and ESP of the first tunnel: %s" % first
    assert all(second[SECOND]), "IKE and ESP of the second tunnel: %s" % second
    assert not flows["out"].lost() and not flows["in"].lost(), "lost: %d out, %d in" % (
        len(flows["out"].lost()), len(flows["in"].lost()))
