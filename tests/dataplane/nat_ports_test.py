#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""ESP in UDP goes from and to the ports that IKE uses, as seen on the wire, also after a NAT has
given the peer another one (RFC 3948 3.5, RFC 7296 2.23). Run as root."""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import bed  # noqa: E402
import dpclient as dp  # noqa: E402
import tunnel_test  # noqa: E402
from scapy.all import IP, Raw, UDP  # noqa: E402

SaMove = dp.struct('SaMove', ('spi_in', dp.u32), ('remote_port', dp.u16), ('local_port', dp.u16),
                   ('remote', dp.Addr))


class Ports(tunnel_test.Bed):
    def outer_ports(self):
        """Source and destination of the one packet that is sealed."""
        self.a.wire.send(self.a.packet(self.b, UDP(sport=5, dport=6), Raw(b'x' * 100)))
        outer = self.to_b.collect(1, lambda f: IP in f and UDP in f)
        self.assertEqual(len(outer), 1)
        self.assertEqual((outer[0][IP].src, outer[0][IP].dst), (self.a.wan_ip, self.a.peer_ip))
        return outer[0][UDP].sport, outer[0][UDP].dport

    def test_nat_16_esp_in_udp_uses_the_ports_of_ike_and_follows_them(self):
        spi, _ = self.sa(dp.SA_UDP)
        self.assertEqual(self.outer_ports(), (4500, 4500))
        for port in (61000, 1024):
            self.a.iked.call('SA_MOVE', SaMove(spi, port, 4500, dp.addr(self.a.peer_ip)))
            self.assertEqual(self.outer_ports(), (4500, port))


if __name__ == '__main__':
    bed.enter_namespace()
    bed.veth('p-lana', 'h-lana')
    bed.veth('p-lanb', 'h-lanb')
    bed.veth('p-wana', 'p-wanb')
    sys.exit(bed.main())
