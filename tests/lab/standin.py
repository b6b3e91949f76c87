# SPDX-License-Identifier: BSD-3-Clause
"""A gateway made of the kernel, FRR and a second strongSwan, to test the lab without Spillway.

It lives in the gateway's namespace with the gateway's addresses on the port devices themselves. It
is no reference for behaviour: only a way to know that routers, tunnel, cuts and measurements of
the lab work before a product is judged by them.
"""
from lab import ADDRESSES, SITE_PREFIX, VNET_PREFIX
from net import ip_batch, sysctl, wait_until
from strongswan import StrongSwan

FRR_CONF = """\
bfd
 profile fast
  receive-interval 300
  transmit-interval 300
  detect-multiplier 3
 exit
exit
router bgp 65010
 bgp router-id {gateway_er}
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor {edge_er} remote-as 12076
 neighbor {edge_er} bfd profile fast
 neighbor {edge_er} timers 60 180
 neighbor {edge_er} timers connect 1
 address-family ipv4 unicast
  network {site_prefix}
 exit-address-family
exit
"""


class Standin:
    """Start it inside a lab that is up."""

    def __init__(self, lab):
        self.lab = lab
        self.vpn = StrongSwan(lab.registry, lab.ns("gw"), lab.path("standin"),
                              ADDRESSES["gateway_wan"], ADDRESSES["azure_wan"])

    def start(self):
        ns = self.lab.ns("gw")
        ip_batch(ns, [line.format(**ADDRESSES) for line in (
            "link set p-lan arp on", "link set p-er arp on", "link set p-wan arp on",
            "addr add {gateway_lan}/24 dev p-lan", "addr add {gateway_er}/30 dev p-er",
            "addr add {gateway_wan}/24 dev p-wan", "route add default via {inet_wan}")])
        for port in ("p-lan", "p-er", "p-wan"):
            self.lab.run("gw", "sysctl", "-q", "-w", "net.ipv4.conf.%s.rp_filter=0" % port)
        sysctl(ns, net__ipv4__ip_forward=1)
        # zebra reads a kernel route's distance from the highest byte of its metric.
        self.vpn.start(routes=[VNET_PREFIX + " dev ipsec0 metric %d" % (250 << 24)])
        self.vpn.initiate()
        self.lab.frr.start()
        self.lab.frr.apply(FRR_CONF.format(site_prefix=SITE_PREFIX, **ADDRESSES))
        wait_until(self.vpn.is_up, 10, "the stand-in's tunnel")

    def wait_active(self, wanted, timeout, interval=0.05):
        wait_until(lambda: self.path() == wanted, timeout, "the stand-in on " + wanted, interval)

    @staticmethod
    def switches():
        """A kernel keeps no log of its switches."""
        return []

    @staticmethod
    def violations():
        return 0

    @staticmethod
    def crashes():
        return []

    def path(self):
        """The path that the kernel would take now: expressroute or tunnel."""
        out = self.lab.run("gw", "ip", "route", "get", ADDRESSES["vnet_host"]).stdout
        return "tunnel" if "ipsec0" in out else "expressroute"
