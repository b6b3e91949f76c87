#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A million routes by BGP: until the data plane has them, beside zebra's own time into the kernel.

The edge announces --routes prefixes at once. First controld stands still, so that the kernel's table is
filled by FRR alone: zebra's own time. Then they go, controld goes on, and the same is done once more
with everybody at work. Both times run from the word to the edge. Writes JSON to --out; exit status 1
when the data plane does not get them all.
"""
import argparse
import json
import signal
import sys
import time

from bed import Bed
from lab import ADDRESSES, EDGE_AS, GATEWAY_AS, SITE_PREFIX, VNET_AS, VNET_PREFIX
from bird import EDGE
from net import LabError, send, wait_until
from product import Gateway

FIRST = 20 << 24            # 20.0.0.0; /24 after /24
LIMIT_S = 400
OPTIONS = {"dataplane": "--memory 4096 --max-routes 1100000"}


def prefixes(count):
    for n in range(count):
        at = FIRST + (n << 8)
        yield "%d.%d.%d.0/24" % (at >> 24, at >> 16 & 255, at >> 8 & 255)


def edge_text(bed, count):
    """The edge with a static protocol `many`, off at first, which the kernel need not know."""
    text = EDGE.format(
        dir=bed.lab.edge.dir, router_id=ADDRESSES["edge_er"], edge_address=ADDRESSES["edge_er"],
        gateway_address=ADDRESSES["gateway_er"], edge_vnet_address=ADDRESSES["edge_vnet"],
        vnet_edge_address=ADDRESSES["vnet_edge"], gateway_as=GATEWAY_AS, edge_as=EDGE_AS,
        vnet_as=VNET_AS, site_prefix=SITE_PREFIX, vnet_prefix=VNET_PREFIX, gateway_password="")
    text = text.replace("export all;", "export where source = RTS_BGP;")
    text = text.replace("export where net ~ [ %s+ ];" % VNET_PREFIX,
                        "export where net ~ [ %s+ ] || source = RTS_STATIC;" % VNET_PREFIX, 1)
    lines = "\n".join("    route %s blackhole;" % p for p in prefixes(count))
    return text + "protocol static many {\n    disabled;\n    ipv4;\n%s\n}\n" % lines


def kernel_routes(bed):
    """IPv4 prefixes in the gateway's kernel, by its own count."""
    for line in bed.lab.run("gw", "cat", "/proc/net/fib_triestat").stdout.splitlines():
        if line.strip().startswith("Prefixes:"):
            return int(line.split()[1])
    return 0


def data_plane_routes(bed):
    return bed.gateway.show("version")["dataplane"].get("routes", 0)


def until(count_now, wanted, begun, what):
    """Seconds from `begun` until there are so many."""
    wait_until(lambda: count_now() >= wanted, LIMIT_S, what, 0.1)
    return round(time.monotonic() - begun, 2)


def announce(bed):
    begun = time.monotonic()
    bed.lab.edge.ctl("enable", "many")
    return begun


def measure(bed, count):
    bed.lab.edge.reconfigure(edge_text(bed, count))
    bed.gateway.wait_ready(60)
    before_kernel, before_fib = kernel_routes(bed), data_plane_routes(bed)
    controld = bed.gateway.status()["controld"]["pid"]
    send(controld, signal.SIGSTOP)
    zebra_s = until(lambda: kernel_routes(bed), before_kernel + count, announce(bed),
                    "zebra alone to fill the kernel")
    bed.lab.edge.ctl("disable", "many")
    wait_until(lambda: kernel_routes(bed) <= before_kernel, LIMIT_S, "the kernel to be empty", 0.5)
    send(controld, signal.SIGCONT)
    wait_until(lambda: data_plane_routes(bed) <= before_fib + 16, LIMIT_S, "controld to catch up",
               0.5)
    bed.gateway.wait_ready(60)
    begun = announce(bed)
    kernel_s = until(lambda: kernel_routes(bed), before_kernel + count, begun, "the kernel")
    installed_s = until(lambda: data_plane_routes(bed), before_fib + count, begun,
                        "the data plane; it has %d" % data_plane_routes(bed))
    with open("/proc/%d/status" % controld, encoding="ascii") as text:
        resident = next(line.split()[1] for line in text if line.startswith("VmRSS"))
    return {"routes": count, "zebra_s": zebra_s, "kernel_s": kernel_s, "installed_s": installed_s,
            "ratio": round(installed_s / zebra_s, 3), "controld_mb": int(resident) // 1024}


def run(count):
    """Measure in a lab of its own; see measure()."""
    bed = Bed(prefix="mil")
    bed.gateway = Gateway(bed.lab, options=OPTIONS)
    with bed:
        return measure(bed, count)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--routes", type=int, default=1000000)
    parser.add_argument("--out", default="million.json")
    args = parser.parse_args()
    try:
        found = run(args.routes)
    except (LabError, AssertionError) as error:
        print("million: %s" % error, file=sys.stderr)
        return 1
    print("%(routes)d routes: zebra alone %(zebra_s).1f s; kernel %(kernel_s).1f s, data plane "
          "%(installed_s).1f s" % found, flush=True)
    with open(args.out, "w", encoding="ascii") as out:
        json.dump(found, out, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
