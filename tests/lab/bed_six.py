# SPDX-License-Identifier: BSD-3-Clause
"""The lab whose Internet speaks IPv6: outer addresses of the tunnel are IPv6, and a second VNet of
IPv6 prefixes is behind it. ExpressRoute and the first VNet are as in the lab of one link.
"""
from bed import Bed
from lab import Lab
from net import ip_batch, sysctl
from product import Gateway

GATEWAY, GATEWAY_ROUTER = "2001:db8:198::2", "2001:db8:198::1"
AZURE, AZURE_ROUTER = "2001:db8:203::2", "2001:db8:203::1"
LAN_HOST, GATEWAY_LAN, SITE = "fd00:1::10", "fd00:1::1", "fd00:1::/48"
VNET_HOST, VNET = "fd00:100::10", "fd00:100::/48"

ADDRESSES_OF = {
    "lan": ["addr add %s/64 dev eth0 nodad" % LAN_HOST, "route add default via " + GATEWAY_LAN],
    "inet": ["addr add %s/64 dev gw0 nodad" % GATEWAY_ROUTER,
             "addr add %s/64 dev az0 nodad" % AZURE_ROUTER],
    "azure": ["addr add %s/64 dev wan0 nodad" % AZURE, "route add default via " + AZURE_ROUTER,
              "addr add fd00:255::1/126 dev vnet0 nodad", "route add %s via fd00:255::2" % VNET],
    "vnet": ["addr add %s/64 dev subnet0 nodad" % VNET_HOST,
             "addr add fd00:255::2/126 dev vpn0 nodad", "route add %s via fd00:255::1" % SITE],
}
ROUTERS = ("inet", "azure")

LINES = """\
set interfaces lan0 address {lan}/64
set interfaces wan0 address {gateway}/64
set interfaces wan0 gateway {router}
set tunnel azure-a local-address {gateway}
set tunnel azure-a remote-address {azure}
set vnet six prefix {vnet}
set vnet six tunnel azure-a
""".format(lan=GATEWAY_LAN, gateway=GATEWAY, router=GATEWAY_ROUTER, azure=AZURE,
           vnet=VNET).splitlines()


class LabSix(Lab):
    """The lab of one link over an Internet of IPv6."""

    def _make_daemons(self, vnet_prefixes, azure):
        super()._make_daemons(vnet_prefixes, dict(
            {"local_ts": "0.0.0.0/0,::/0", "remote_ts": "0.0.0.0/0,::/0"}, **azure))
        self.azure.policy.update(local=AZURE, remote=GATEWAY, local_id=AZURE, remote_id=GATEWAY)

    def _start_daemons(self):
        for name, lines in ADDRESSES_OF.items():
            sysctl(self.ns(name), net__ipv6__conf__all__disable_ipv6=0,
                   net__ipv6__conf__default__disable_ipv6=0)
            if name in ROUTERS:
                sysctl(self.ns(name), net__ipv6__conf__all__forwarding=1)
            ip_batch(self.ns(name), lines)
        super()._start_daemons()
        ip_batch(self.ns("azure"), ["route add %s dev ipsec0" % SITE])


class BedSix(Bed):
    """The demo's gateway with a tunnel over IPv6."""

    def __init__(self, prefix="spwsx", azure=None, config=None, ready=True):
        super().__init__(prefix, azure=azure, config=config, ready=ready)
        self.lab = LabSix(prefix, azure=azure)
        self.gateway = Gateway(self.lab)

    def configuration_lines(self):
        kept = [line for line in super().configuration_lines()
                if not line.startswith(("set tunnel azure-a local-address",
                                        "set tunnel azure-a remote-address"))]
        return kept + LINES
