# SPDX-License-Identifier: BSD-3-Clause
"""A NAT on the Internet's way, before our gateway or before Azure's: the lab and its test bed.

    lan -- gw -- nat -- inet -- azure        LabBehindNat: our address is private
    lan -- gw -- inet -- nat -- azure        LabBeforeNat: theirs is

The public address is the one that the lab without NAT has, so the other side's settings do not
change; who is behind the NAT says it as its identity. remap() is what a NAT does that was started
anew or ran out of time: every mapping is forgotten and new ones get other ports.
"""
import contextlib
import socket
import struct

from bed import Bed
from lab import ADDRESSES, Lab
from net import LabError, inside, now_ns, run
from product import Gateway

OURS, OURS_NAT = "192.168.7.2", "192.168.7.1"
THEIRS, THEIRS_NAT = "192.168.9.2", "192.168.9.1"
NAT_PORTS = 20000       # what IKE's port becomes at the first remap; one more at each

RULES = """\
table ip lab
delete table ip lab
table ip lab {{
    chain back {{
        type nat hook prerouting priority dstnat;
        {forward}
    }}
    chain out {{
        type nat hook postrouting priority srcnat;
        oifname "out0" udp sport 4500 masquerade{port}
        oifname "out0" masquerade
    }}
    chain hear {{
        type filter hook input priority filter;
        iifname "out0" udp dport != 0 drop
    }}
}}
"""


def forget_connections(ns):
    """Empty the connection table of a namespace (nfnetlink, IPCTNL_MSG_CT_DELETE of nothing)."""
    with inside(ns):
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)     # NETLINK_NETFILTER
    with contextlib.closing(netlink):
        netlink.settimeout(2)
        body = struct.pack("=BBH", socket.AF_INET, 0, 0)
        netlink.send(struct.pack("=IHHII", 16 + len(body), 0x0102, 0x5, 1, 0) + body)
        code = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
        if code != 0:
            raise LabError("%s: the connection table cannot be emptied: error %d" % (ns, -code))


class LabNat(Lab):
    """What both have: the namespace `nat` with devices in0 (private) and out0 (public)."""

    names = Lab.names + ("nat",)
    inner = None        # private address behind it
    forwarders = Lab.forwarders + ("nat",)

    def __init__(self, prefix="spw", forwarded=False, **options):
        self.forwarded = forwarded
        self.mapped = None      # the port that IKE's and ESP's has become; None = as it was
        super().__init__(prefix, **options)

    def create(self):
        super().create()
        self._set_rules()

    def _start_daemons(self):
        self._set_rules()
        super()._start_daemons()

    def _set_rules(self):
        forward = 'iifname "out0" udp dport { 500, 4500 } dnat to ' + self.inner \
            if self.forwarded else ""
        port = " to :%d" % self.mapped if self.mapped else ""
        run("nft", "-f", "-", ns=self.ns("nat"),
            stdin=RULES.format(forward=forward, port=port))

    def remap(self):
        """Forget every mapping; what leaves from now on comes from another port. The time of it."""
        self.mapped = self.mapped + 1 if self.mapped else NAT_PORTS
        self._set_rules()
        stamp = now_ns()
        forget_connections(self.ns("nat"))
        return self.note("remap to port %d" % self.mapped, stamp)


class LabBehindNat(LabNat):
    """Our gateway is behind the NAT."""

    inner = OURS
    wires = tuple(w for w in Lab.wires if w[1] != "p-wan") + (
        ("gw", "p-wan", "nat", "in0"), ("nat", "out0", "inet", "gw0"))
    setup = dict(Lab.setup, nat=["addr add %s/24 dev in0" % OURS_NAT,
                                 "addr add {gateway_wan}/24 dev out0",
                                 "route add default via {inet_wan}"])


class LabBeforeNat(LabNat):
    """Azure's gateway is behind the NAT."""

    inner = THEIRS
    wires = tuple(w for w in Lab.wires if w[1] != "az0") + (
        ("nat", "in0", "azure", "wan0"), ("inet", "az0", "nat", "out0"))
    setup = dict(Lab.setup, nat=["addr add %s/24 dev in0" % THEIRS_NAT,
                                 "addr add {azure_wan}/24 dev out0",
                                 "route add default via {inet_azure}"],
                 azure=["addr add %s/24 dev wan0" % THEIRS, "addr add {azure_vnet}/30 dev vnet0",
                        "route add default via %s" % THEIRS_NAT,
                        "route add 10.100.0.0/16 via {vnet_azure}"])

    def _make_daemons(self, vnet_prefixes, azure):
        super()._make_daemons(vnet_prefixes, dict(
            {"start_action": "start", "local_id": ADDRESSES["azure_wan"]}, **azure))
        self.azure.policy["local"] = THEIRS


class BedNat(Bed):
    """A bed with a NAT: `behind` "gw" or "azure"; `forwarded`: who is behind it can be dialled."""

    def __init__(self, prefix="spwnt", behind="gw", forwarded=False, azure=None, config=None,
                 ready=True):
        super().__init__(prefix, azure=azure, config=config, ready=ready)
        self.behind = behind
        lab = LabBehindNat if behind == "gw" else LabBeforeNat
        self.lab = lab(prefix, forwarded=forwarded, azure=azure)
        self.gateway = Gateway(self.lab)

    def configuration_lines(self):
        lines = super().configuration_lines()
        if self.behind != "gw":
            return lines
        public = ADDRESSES["gateway_wan"]
        swapped = [line.replace(public + "/24", OURS + "/24")
                   .replace("local-address " + public, "local-address " + OURS)
                   .replace("next-hop " + ADDRESSES["inet_wan"], "next-hop " + OURS_NAT)
                   for line in lines]
        return swapped + ["set tunnel azure-a local-id " + public]

    def peer_port(self):
        """The port that strongSwan knows of us."""
        return next((int(sa["remote-port"]) for sa in self.lab.azure.ike_sas()
                     if sa.get("state") == "ESTABLISHED"), None)
