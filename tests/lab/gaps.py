#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a steady flow sees of each failure of ExpressRoute, many times over.

A flow of --rate packets a second each way runs through the lab's gateway while the edge, at the very
moment of the event, begins to lose what it is sent:

  withdraw   BGP withdrawal; the edge drops transit from the same moment on
  link       carrier lost at both ends
  bfd        the edge stands still, nothing passes, carrier stays
  blackhole  the edge drops transit; BGP and BFD live on, so only forwarding probes can see it

Each run: calm, event, in the tunnel, restored, back. The gap is the longest time without a packet
that began with the event, or within the FIRST_NS after it, at the VNet host (out) and at the LAN host
(in: how fast Azure's side of the lab moves, too). Two more stand beside it, by which a reader can
judge it: the longest in the calm before (the machine's own), and the longest in the tunnel once the
switch is SETTLED_NS old, which is the tunnel's peer, a user-space ESP that this rate fills.
Lost on the return is what was offered from shortly before the gateway switched back to the end; what
the peer's user-space ESP loses in the tunnel at this rate is counted apart. Runs of all kinds take
turns. Writes JSON to --out; tells how it goes on stdout.
"""
import argparse
import collections
import json
import sys
import time

from bed import Bed
from net import LabError, now_ns
from product import EXPRESSROUTE

Kind = collections.namedtuple("Kind", "key fail restore in_tunnel_s lines")
PROBE = ("set vnet prod probe 10.100.0.10 kind icmp",)
KINDS = (
    Kind("withdraw", "withdraw_at_once", "announce_mended", 1.5, ()),
    Kind("link", "link_down", "link_up", 1.5, ()),
    Kind("bfd", "freeze_edge", "thaw_edge", 2.5, ()),
    Kind("blackhole", "break_transit", "mend_transit", 4.0, PROBE),
)
WAIT_TO_RESTORE_S = 3
CALM_S, AFTER_S = 0.7, 0.7
LEAD_NS = 20 * 10**6
FIRST_NS = 50 * 10**6
SETTLED_NS = 500 * 10**6
RETURN_LEAD_NS = 20 * 10**6


def one(bed, kind, rate):
    """One run as a record; AssertionError or LabError when what must hold does not."""
    with bed.traffic(rate=rate) as span:
        calm = now_ns()
        time.sleep(CALM_S)
        event = getattr(bed.lab, kind.fail)()
        bed.gateway.wait_active("tunnel", 10, 0.1)
        time.sleep(max(0.0, kind.in_tunnel_s - (now_ns() - event) / 1e9))
        restore = getattr(bed.lab, kind.restore)()
        bed.gateway.wait_active(EXPRESSROUTE, 40, 0.1)
        bed.lab.wait_expressroute()
        time.sleep(AFTER_S)
        end = now_ns()
    switches = bed.gateway.switches()
    switch = next((s for s in switches if event <= s["at_ns"] < restore), {})
    settled = min(switch.get("at_ns", event) + SETTLED_NS, restore)
    back = next((s["at_ns"] for s in switches
                 if s["at_ns"] >= restore and s["to"] == EXPRESSROUTE), restore)
    return {"kind": kind.key,
            "gap_ms": {d: round(f.gap_from_ms(event - LEAD_NS, event + FIRST_NS, restore), 2)
                       for d, f in span.flows.items()},
            "tunnel_gap_ms": {d: round(f.longest_gap_ms(settled, restore), 2)
                              for d, f in span.flows.items()},
            "calm_gap_ms": {d: round(f.longest_gap_ms(calm, event - LEAD_NS), 2)
                            for d, f in span.flows.items()},
            "lost": span.lost(event - LEAD_NS, restore),
            "lost_waiting": span.lost(restore, back - RETURN_LEAD_NS),
            "lost_on_return": span.lost(back - RETURN_LEAD_NS, end),
            "lost_before": span.lost(0, event - LEAD_NS),
            "reordered": {d: f.reordered for d, f in span.flows.items()},
            "cause": switch.get("cause"), "detect_ms": switch.get("detect_ms"),
            "switch_us": switch.get("switch_us"), "violations": bed.gateway.violations()}


def configured(bed, kinds):
    """The kinds that the product can be configured for, and why the others are left out."""
    left_out, chosen = {}, []
    for kind in kinds:
        done = bed.gateway.configure(kind.lines, check=False) if kind.lines else None
        if done is not None and done.returncode != 0:
            left_out[kind.key] = (done.stderr + done.stdout).strip().splitlines()[-1]
        else:
            chosen.append(kind)
    return chosen, left_out


def measure(bed, kinds, runs, rate):
    """(records, {kind: why a run of it failed})."""
    records, failed = [], collections.defaultdict(list)
    for number in range(runs):
        for kind in kinds:
            try:
                bed.gateway.wait_ready()
                record = one(bed, kind, rate)
            except (LabError, AssertionError) as why:
                failed[kind.key].append(str(why)[:300])
                print("%2d %-9s failed: %s" % (number + 1, kind.key, str(why)[:160]), flush=True)
                getattr(bed.lab, kind.restore)()
                continue
            records.append(record)
            print("%2d %-9s gap out %7.1f ms, in %7.1f ms; cause %s; on the return lost %d" % (
                number + 1, kind.key, record["gap_ms"]["out"], record["gap_ms"]["in"],
                record["cause"], sum(record["lost_on_return"].values())), flush=True)
    return records, failed


def patient(lines):
    return [line for line in lines if " wait-to-restore " not in line] + [
        "set vnet prod wait-to-restore %d" % WAIT_TO_RESTORE_S]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rate", type=int, default=10000, help="packets a second each way")
    parser.add_argument("--kinds", nargs="*", choices=[k.key for k in KINDS],
                        default=[k.key for k in KINDS])
    parser.add_argument("--out", default="gaps.json")
    args = parser.parse_args()
    try:
        with Bed(prefix="gap", config=patient) as bed:
            kinds, left_out = configured(bed, [k for k in KINDS if k.key in args.kinds])
            records, failed = measure(bed, kinds, args.runs, args.rate)
    except (LabError, AssertionError) as error:
        print("gaps: %s" % error, file=sys.stderr)
        return 1
    with open(args.out, "w", encoding="ascii") as out:
        json.dump({"rate": args.rate, "runs": args.runs, "records": records, "failed": failed,
                   "left_out": left_out}, out, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
