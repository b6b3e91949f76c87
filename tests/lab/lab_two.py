# SPDX-License-Identifier: BSD-3-Clause
"""The lab with two ExpressRoute links and two Azure gateways.

            ---- sw1 ---- er1 ----
    lan -- gw ---- sw2 ---- er2 ---- vnet
            \\---- inet --- azure1 --/
                     \\---- azure2 -/

Each link is a sub-interface on a port of its own: the primary tagged once, the secondary QinQ, put
on and taken off at the edge by tests/tools/vlantap (this kernel has no VLAN devices). One eBGP
session on each link and family: the primary with MD5 and with IPv6 beside IPv4. The VNet spreads
its flows over both edges, and over both tunnels when no edge is left. An edge that prepends does so
towards both sides, as Microsoft does before maintenance.

Beside the site's LAN there is a public address of ours behind it (for Microsoft peering), a proxy,
and an Internet host behind that proxy; on the Internet the same public service that the edges offer.
"""
import os
import time

from bird import COMMON, Bird
from lab import (ADDRESSES, EDGE_AS, FORGET_S, GATEWAY_AS, SITE_PREFIX, VNET_AS, VNET_PREFIX, Lab,
                 black_hole)
from net import ip_batch, run, sysctl, wait_until
from strongswan import StrongSwan
from traffic import tool

TWO = dict(
    ADDRESSES,
    gateway_er1="172.16.0.1", edge_er1="172.16.0.2", gateway_er2="172.16.0.5",
    edge_er2="172.16.0.6", gateway6_er1="fd00:16::1", edge6_er1="fd00:16::2",
    azure1_wan="203.0.113.2", azure2_wan="203.0.113.6", inet_azure1="203.0.113.1",
    inet_azure2="203.0.113.5",
    edge1_vnet="10.255.0.1", vnet_edge1="10.255.0.2", edge2_vnet="10.255.0.5",
    vnet_edge2="10.255.0.6", azure1_vnet="10.255.1.1", vnet_azure1="10.255.1.2",
    azure2_vnet="10.255.1.5", vnet_azure2="10.255.1.6",
    lan6_host="fd00:1::10", gateway6_lan="fd00:1::1", vnet6_host="fd00:100::10",
    edge1_vnet6="fd00:255::1", vnet6_edge1="fd00:255::2",
    proxy="10.1.0.20", site_public="192.0.2.10", service="20.0.0.1", beyond_proxy="198.18.0.9")
SITE_PUBLIC_PREFIX = "192.0.2.0/24"
SERVICE_PREFIX = "20.0.0.0/24"
SITE6_PREFIX, VNET6_PREFIX = "fd00:1::/48", "fd00:100::/48"
PASSWORD = "Lab-Only-BGP-Password"
TAGS = {1: (100, None), 2: (200, 10)}       # outer, inner
LINKS = (1, 2)
WIRE_MTU = 1520                             # room for two tags

EDGE = COMMON + """\
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol static extra {{ ipv4; {extra} }}
filter to_site {{
    if net ~ [ {vnet_prefix}+ ] || source = RTS_STATIC then {{ {prepend} accept; }}
    reject;
}}
filter to_vnet {{
    if net ~ [ {site_prefix}+ ] then {{ {prepend} accept; }}
    reject;
}}
protocol bgp site from peer {{
    local {edge} as {edge_as};
    neighbor {gateway} as {gateway_as};
    {password}
    graceful restart aware;
    ipv4 {{ import where net ~ [ {site_prefix}+, {site_public}+ ]; export filter to_site;
            next hop self; }};
}}
protocol bgp vnet from peer {{
    local {edge_vnet} as {edge_as};
    neighbor {vnet_edge} as {vnet_as};
    ipv4 {{ import where net ~ [ {vnet_prefix}+ ]; export filter to_vnet; next hop self; }};
}}
"""

EDGE6 = """\
protocol kernel {{ ipv6 {{ import none; export all; }}; }}
protocol static vnet6 {{ ipv6; route {vnet6_prefix} via {vnet6_edge}; }}
protocol bgp site6 from peer {{
    local {edge6} as {edge_as};
    neighbor {gateway6} as {gateway_as};
    {password}
    graceful restart aware;
    ipv6 {{ import where net ~ [ {site6_prefix}+ ]; export where net ~ [ {vnet6_prefix}+ ];
            next hop self; }};
}}
"""

VNET = COMMON + """\
protocol kernel {{
    merge paths on;
    ipv4 {{ import none;
            export filter {{ if net ~ [ {site_prefix}+ ] then {{
                krt_prefsrc = {vnet_host}; accept; }} reject; }}; }};
}}
protocol static {{ ipv4; {vnet_routes} }}
template bgp edge from peer {{
    ipv4 {{ import where net ~ [ {site_prefix}+ ]; export where net ~ [ {vnet_prefix}+ ];
            next hop self; }};
}}
protocol bgp edge1 from edge {{
    local {vnet_edge1} as {vnet_as};
    neighbor {edge1_vnet} as {edge_as};
}}
protocol bgp edge2 from edge {{
    local {vnet_edge2} as {vnet_as};
    neighbor {edge2_vnet} as {edge_as};
}}
"""

TO_SITE_BY_ONE = "route replace {prefix} src {vnet_host} metric 1000 via {azure}"
TO_SITE = ("route {verb} {prefix} src {vnet_host} metric 1000 nexthop via {azure1_vnet} "
           "nexthop via {azure2_vnet}")


class Edge:
    """One Microsoft edge: its namespace, its BIRD, and what it announces beside the VNet."""

    def __init__(self, lab, number):
        self.lab = lab
        self.number = number
        self.ns = "er%d" % number
        self.prepend, self.extra = 0, ()
        self.bird = Bird(lab.registry, lab.ns(self.ns), lab.path("edge%d" % number), "",
                         {})
        self.bird.text = self.text()

    def text(self):
        n = self.number
        values = dict(
            dir=self.bird.dir, router_id=TWO["edge_er%d" % n], edge=TWO["edge_er%d" % n],
            gateway=TWO["gateway_er%d" % n], edge_vnet=TWO["edge%d_vnet" % n],
            vnet_edge=TWO["vnet_edge%d" % n], edge_as=EDGE_AS, gateway_as=GATEWAY_AS,
            vnet_as=VNET_AS, site_prefix=SITE_PREFIX, vnet_prefix=VNET_PREFIX,
            site_public=SITE_PUBLIC_PREFIX, site6_prefix=SITE6_PREFIX, vnet6_prefix=VNET6_PREFIX,
            edge6=TWO["edge6_er1"], gateway6=TWO["gateway6_er1"],
            vnet6_edge=TWO["vnet6_edge1"], password='password "%s";' % PASSWORD if n == 1 else "",
            prepend=("bgp_path.prepend(%d); " % EDGE_AS) * self.prepend,
            extra=" ".join("route %s blackhole;" % p for p in self.extra))
        return (EDGE + (EDGE6 if n == 1 else "")).format(**values)

    def change(self, prepend=None, extra=None):
        """Announce longer paths, or other prefixes beside the VNet's; sessions stay."""
        self.prepend = self.prepend if prepend is None else prepend
        self.extra = self.extra if extra is None else tuple(extra)
        self.bird.reconfigure(self.text())

    def start(self):
        outer, inner = TAGS[self.number]
        argv = [tool("vlantap"), "--parent", "port0", "--name", "gw0", "--vlan", outer]
        self.lab.registry.start("vlantap", argv + (["--inner", inner] if inner else []),
                                ns=self.lab.ns(self.ns), ready="ready", detach=True)
        lines = ["link set gw0 up", "addr add %s/30 dev gw0" % TWO["edge_er%d" % self.number]]
        if self.number == 1:
            lines.append("addr add %s/126 dev gw0 nodad" % TWO["edge6_er1"])
        ip_batch(self.lab.ns(self.ns), lines)
        self.bird.start()

    def break_transit(self):
        """Drop transit and keep BGP and BFD, as in maintenance gone wrong."""
        return black_hole(self.lab, self.ns, True)

    def mend_transit(self):
        return black_hole(self.lab, self.ns, False)

    def withdraw(self):
        """Nothing of the VNet over this edge any more, in either family."""
        return self._vnet("disable", "withdraws")

    def announce(self):
        return self._vnet("enable", "announces")

    def _vnet(self, word, said):
        control = self.bird.at_hand()
        try:
            stamp = control.tell(word + " vnet")
            if self.number == 1:
                control.tell(word + " vnet6")
        finally:
            control.close()
        return self.lab.note("%s %s" % (self.ns, said), stamp)

    def link(self, up):
        """Cut the fibre, or mend it."""
        ip_batch(self.lab.ns("sw%d" % self.number), [
            "link set %s %s" % (end, "up" if up else "down") for end in ("to-er", "to-gw")])
        return self.lab.note("link %d %s" % (self.number, "up" if up else "down"))

    def silence(self, on):
        """Nothing passes any more, carrier stays."""
        self.lab.run("sw%d" % self.number, "bridge", "link", "set", "dev", "to-er", "state",
                     "0" if on else "3")
        return self.lab.note("link %d %s" % (self.number, "silent" if on else "speaks"))

    def up(self):
        return self.bird.established("site") and self.bird.established("vnet")


class LabTwo(Lab):
    """Two links, two Azure gateways. `edges` are er1 and er2, `azures` azure1 and azure2."""

    names = ("lan", "gw", "sw1", "sw2", "er1", "er2", "inet", "azure1", "azure2", "vnet")
    circuits = ("sw1", "sw2")
    forwarders = ("er1", "er2", "inet", "azure1", "azure2")
    gateway_ports = ("p-lan", "p-er1", "p-er2", "p-wan")
    six = ("lan", "er1", "vnet", "gw")      # namespaces that speak IPv6
    wires = (
        ("lan", "eth0", "gw", "p-lan"),
        ("gw", "p-er1", "sw1", "to-gw"), ("sw1", "to-er", "er1", "port0"),
        ("gw", "p-er2", "sw2", "to-gw"), ("sw2", "to-er", "er2", "port0"),
        ("gw", "p-wan", "inet", "gw0"),
        ("inet", "az1", "azure1", "wan0"), ("inet", "az2", "azure2", "wan0"),
        ("er1", "vnet0", "vnet", "er1"), ("er2", "vnet0", "vnet", "er2"),
        ("azure1", "vnet0", "vnet", "vpn1"), ("azure2", "vnet0", "vnet", "vpn2"),
    )
    setup = {name: [line.format(site_prefix=SITE_PREFIX, to_site=TO_SITE.format(
        verb="add", prefix=SITE_PREFIX, **TWO), **TWO) for line in lines] for name, lines in {
            "lan": ["addr add {lan_host}/24 dev eth0", "addr add {proxy}/24 dev eth0",
                    "addr add {lan6_host}/64 dev eth0 nodad",
                    "addr add {site_public}/32 dev lo", "addr add {beyond_proxy}/32 dev lo",
                    "route add default via {gateway_lan} src {lan_host}",
                    "route add default via {gateway6_lan}"],
            "er1": ["addr add {edge1_vnet}/30 dev vnet0", "addr add {service}/32 dev lo",
                    "addr add {edge1_vnet6}/64 dev vnet0 nodad"],
            "er2": ["addr add {edge2_vnet}/30 dev vnet0", "addr add {service}/32 dev lo"],
            "inet": ["addr add {inet_wan}/24 dev gw0", "addr add {inet_azure1}/30 dev az1",
                     "addr add {inet_azure2}/30 dev az2", "addr add {service}/32 dev lo",
                     "route add 192.0.2.0/24 via {gateway_wan}"],
            "azure1": ["addr add {azure1_wan}/30 dev wan0", "addr add {azure1_vnet}/30 dev vnet0",
                       "route add default via {inet_azure1}",
                       "route add 10.100.0.0/16 via {vnet_azure1}"],
            "azure2": ["addr add {azure2_wan}/30 dev wan0", "addr add {azure2_vnet}/30 dev vnet0",
                       "route add default via {inet_azure2}",
                       "route add 10.100.0.0/16 via {vnet_azure2}"],
            "vnet": ["link add subnet0 type bridge", "link set subnet0 up",
                     "addr add {vnet_host}/24 dev subnet0",
                     "addr add {vnet6_host}/64 dev subnet0 nodad",
                     "addr add {vnet_edge1}/30 dev er1", "addr add {vnet_edge2}/30 dev er2",
                     "addr add {vnet6_edge1}/64 dev er1 nodad",
                     "addr add {vnet_azure1}/30 dev vpn1", "addr add {vnet_azure2}/30 dev vpn2",
                     "{to_site}",
                     "route add fd00:1::/48 via {edge1_vnet6}"],
        }.items()}

    def _make_daemons(self, vnet_prefixes, azure):
        self.edges = {n: Edge(self, n) for n in LINKS}
        values = dict(TWO, router_id=TWO["vnet_edge1"], site_prefix=SITE_PREFIX,
                      vnet_prefix=VNET_PREFIX, edge_as=EDGE_AS, vnet_as=VNET_AS,
                      vnet_routes=" ".join("route %s blackhole;" % p for p in vnet_prefixes))
        self.vnet = Bird(self.registry, self.ns("vnet"), self.path("vnet"), VNET, values)
        self.azures = {n: StrongSwan(self.registry, self.ns("azure%d" % n),
                                     self.path("azure%d" % n), TWO["azure%d_wan" % n],
                                     TWO["gateway_wan"], **azure) for n in LINKS}
        self.azure = self.azures[1]
        self.edge = self.edges[1].bird

    def _make_quiet(self, name):
        super()._make_quiet(name)
        if name in self.six:
            sysctl(self.ns(name), net__ipv6__conf__all__disable_ipv6=0,
                   net__ipv6__conf__default__disable_ipv6=0,
                   net__ipv6__conf__default__accept_ra=0)

    def _make_wires(self):
        super()._make_wires()
        for left, left_dev, right, right_dev in self.wires:
            if "sw" in left + right:
                for name, device in ((left, left_dev), (right, right_dev)):
                    ip_batch(self.ns(name), ["link set %s mtu %d" % (device, WIRE_MTU)])

    def _quiet_gateway_ports(self):
        super()._quiet_gateway_ports()
        for port in self.gateway_ports:
            run("sysctl", "-q", "-w", "net.ipv6.conf.%s.disable_ipv6=1" % port, ns=self.ns("gw"))

    def _start_daemons(self):
        sysctl(self.ns("vnet"), net__ipv4__fib_multipath_hash_policy=1)
        sysctl(self.ns("er1"), net__ipv6__conf__all__forwarding=1)
        for edge in self.edges.values():
            edge.start()
        self.vnet.start()
        for azure in self.azures.values():
            azure.start(routes=[SITE_PREFIX + " dev ipsec0"])

    def expressroute_up_at_edge(self):
        return all(edge.up() for edge in self.edges.values())

    def wait_expressroute(self, timeout=40):
        """Wait until BGP stands at both edges and the VNet spreads its flows over them."""
        wait_until(self.expressroute_up_at_edge, timeout, "BGP of both Microsoft edges", 0.1)
        wait_until(lambda: self.vnet_ways() == {1, 2}, timeout,
                   "the VNet's routes over both edges", 0.1)

    def vnet_ways(self):
        """The numbers of the edges over which the VNet sends to the site."""
        shown = self.run("vnet", "ip", "route", "show", SITE_PREFIX, "proto", "bird").stdout
        return {n for n in LINKS if "via %s " % TWO["edge%d_vnet" % n] in shown}

    def azure_dies(self, number):
        """One instance falls silent; the VNet's fabric leaves it, as Azure's does."""
        stamp = self.note("azure%d dies" % number)
        ip_batch(self.ns("inet"), ["link set az%d down" % number])
        ip_batch(self.ns("vnet"), [TO_SITE_BY_ONE.format(
            prefix=SITE_PREFIX, azure=TWO["azure%d_vnet" % (3 - number)], **TWO)])
        return stamp

    def azure_lives(self, number):
        stamp = self.note("azure%d lives" % number)
        ip_batch(self.ns("inet"), ["link set az%d up" % number])
        ip_batch(self.ns("vnet"), [TO_SITE.format(verb="replace", prefix=SITE_PREFIX, **TWO)])
        return stamp

    def lose_both(self, act):
        """The same thing happens to both edges: a method's name and its arguments."""
        return [getattr(edge, act)() for edge in self.edges.values()]

    def forget(self):
        """Longer than BFD remembers a session."""
        time.sleep(FORGET_S)

    def save_key(self, directory, name, text):
        """A secret for the gateway, in its keys directory."""
        path = os.path.join(directory, name)
        with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            out.write(text + "\n")
