# SPDX-License-Identifier: BSD-3-Clause
"""ESP-49: each suite, inner and outer family, form and width of sequence numbers, both ways, over all
lengths of padding and sizes up to the tunnel's largest."""
import frames as f
from casebed import MTU, T4, T6, Gateway
from esp import SUITES
from table import Case, expect, expect_sealed, far_to_host, host_to_far


def sizes(family):
    least = 40 if family == 6 else 20
    return [*range(least, least + 34), 127, 128, 129, 255, 256, 257, 511, 512, 576, 1000, 1280,
            *range(MTU - 16, MTU + 1)]


def both_ways(name, tunnel, family, udp, esn):
    def run(gw):
        child = gw.child(tunnel, name, udp=udp, esn=esn)
        out = [host_to_far(tunnel, family, n) for n in sizes(family)]
        expect_sealed(child, gw.exchange([gw.from_lan(p) for p in out]),
                      [f.routed(p) for p in out])
        back = [far_to_host(tunnel, family, n) for n in sizes(family)]
        expect(gw.exchange([child.frame(p) for p in back]), lan=[f.routed(p) for p in back])
        row = child.row()
        n, octets = len(out), sum(map(len, out))
        assert (row.out_packets, row.in_packets) == (n, n), row
        assert (row.out_bytes, row.in_bytes) == (octets, octets), row
        child.delete()
    return Case(f'ESP-49 ESP-14 IPv{family} in IPv{4 if tunnel == T4 else 6}, '
                f'{"UDP" if udp else "native"}, {name}{", ESN" if esn else ""}', run)


def cases(_):
    return [both_ways(name, tunnel, family, udp, esn) for name in SUITES for tunnel in (T4, T6)
            for family in (4, 6) for udp in (False, True) for esn in (False, True)]


def families():
    yield Gateway, cases
