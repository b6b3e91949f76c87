# SPDX-License-Identifier: BSD-3-Clause
"""Every show tells the truth, as text and as JSON.

Counters are held to what others counted: the far end of each wire, the sniffers in both Azure
gateways, strongSwan's own SAs, the logs of the sender. Where something counts on (BFD, BGP), a
reading lies between two of theirs. Tables are read back by their columns and compared with JSON, and
each object with the one that docs/show-json.md gives.
"""
import contextlib
import json
import os
import re
import socket
import time

from bed_two import EDGES, TUNNELS
from lab import ROOT, SITE_PREFIX
from lab_two import TWO
from net import ip_batch, now_ns, wait_until
from scenario import leaves_bed_clean

# The far ends of the gateway's wires: what they sent is what we received.
FAR_ENDS = {"lan0": ("lan", "eth0"), "er1": ("sw1", "to-gw"), "er2": ("sw2", "to-gw"),
            "wan0": ("inet", "gw0")}
TO_TUNNELS = ("route add {prefix} src {vnet_host} metric 10 nexthop via {azure1_vnet} "
              "nexthop via {azure2_vnet}").format(prefix=SITE_PREFIX, **TWO)
TAGGED = {"er1": 1, "er2": 2}       # tags on each frame
PARTS = ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")
# Keys that are there at times only.
AT_TIMES = {"restore_in_s", "request_ends_in_s", "fits_bytes", "prefix", "prefixes_on_internet",
            "prefixes_on_last_resort", "unreachable"}

# Columns of each table that JSON has as one value; the rest (ages, candidates) moves or is joined.
# What is shown has the words of the command with hyphens; "counters", "detail" and "summary" are the
# shell's.
TABLES = {
    ("interfaces",): ("interfaces", {"Interface": "name", "Role": "role", "Link": "link",
                                     "MTU": "mtu", "MAC": "mac"}),
    ("interfaces", "counters"): ("interfaces", {
        "Interface": "name", "Rx-packets": "rx_packets", "Rx-bytes": "rx_bytes",
        "Tx-packets": "tx_packets", "Tx-bytes": "tx_bytes", "Mirrored": "mirrored_packets",
        "From-twin": "from_twin_packets", "Dropped": "dropped_packets",
        "Asymmetric": "asymmetric_packets"}),
    ("workers",): ("workers", {"Worker": "worker", "Rx": "rx_packets", "Tx": "tx_packets",
                               "Dropped": "dropped_packets", "Mirrored": "mirrored_packets",
                               "From-twin": "from_twin_packets", "Created": "created_packets"}),
    ("drops", "detail"): ("drops", {"Reason": "reason", "Packets": "packets"}),
    ("ipsec", "statistics"): ("tunnels", {
        "Tunnel": "tunnel", "State": "state", "Transit-in": "transit_in_packets",
        "Transit-out": "transit_out_packets", "Own-in": "own_in_packets",
        "Own-out": "own_out_packets", "Violations": "violations",
        "Asymmetric": "asymmetric_packets", "SAs": "children"}),
    ("ipsec", "sa"): ("sas", {"Tunnel": "tunnel", "Dir": "dir", "SPI": "spi", "Cipher": "cipher",
                              "Packets": "packets", "Bytes": "bytes"}),
    ("ike",): ("ike", {"Peer": "peer", "Remote": "remote", "State": "state", "Cipher": "cipher"}),
    ("route",): ("routes", {"Prefix": "prefix", "Source": "source", "Vnet": "vnet"}),
    ("neighbors",): ("neighbors", {"Address": "address", "Interface": "interface", "MAC": "mac",
                                   "State": "state"}),
    ("bfd",): ("bfd", {"Peer": "peer", "Interface": "interface", "State": "state",
                       "Downs": "downs"}),
    ("bgp", "summary"): ("neighbors", {"Neighbor": "address", "AS": "remote_as", "State": "state",
                                       "Received": "prefixes_received", "Sent": "prefixes_sent",
                                       "BFD": "bfd"}),
    ("probes",): ("probes", {"Vnet": "vnet", "Path": "path", "Target": "target", "Kind": "kind",
                             "Size": "size_bytes", "State": "state"}),
    ("failover",): ("vnets", {"Vnet": "name", "Active": "active", "State": "state"}),
    ("failover", "history"): ("switches", {"Vnet": "vnet", "From": "from", "To": "to",
                                           "Cause": "cause"}),
    ("failover", "readiness"): ("vnets", {"Vnet": "name", "Verdict": "verdict",
                                          "Standby": "standby"}),
}


class Control:
    """control.sock: JSON without a process for each question."""

    def __init__(self, gateway):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(os.path.join(gateway.run_dir, "control.sock"))
        self.answers = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.answers.close()
        self.sock.close()

    def show(self, what, arg=""):
        self.sock.sendall(json.dumps({"op": "show", "what": what, "arg": arg}).encode() + b"\n")
        answer = json.loads(self.answers.readline())
        assert answer["ok"], answer
        return answer["result"]


# --- text against JSON -------------------------------------------------------------------------

def read_table(text):
    """The first table of a text as dicts: cells stand where their header does."""
    lines = text.splitlines()
    heads = [(m.group(), m.start()) for m in re.finditer(r"\S+", lines[0])]
    ends = [start for _, start in heads[1:]] + [None]
    return [{name: line[start:end].strip() for (name, start), end in zip(heads, ends)}
            for line in lines[1:lines.index("") if "" in lines else None]]


def amount(cell):
    """(least, most) that a cell of a number may stand for."""
    scaled = re.fullmatch(r"([\d.]+)([KMGTPE])", cell)
    if scaled is None:
        return (int(cell.replace(",", "")),) * 2
    unit = 1024 ** ("KMGTPE".index(scaled.group(2)) + 1)
    return (float(scaled.group(1)) - 0.051) * unit, (float(scaled.group(1)) + 0.051) * unit


def says(cell, before, after):
    """Whether a cell says a value that JSON had as `before` and then as `after`."""
    if before is None or cell == "-":
        return cell == "-" and (before is None or after is None)
    if isinstance(before, (int, float)):
        least, most = amount(cell)
        return least <= after and before <= most
    return cell in (str(before), str(after))


def all_texts(gateway):
    """{words: text} of all tables, by one run of the shell; an answer of one line stands between."""
    commands = []
    for words in TABLES:
        commands += ["-c", "show " + " ".join(words), "-c", "show version | count"]
    texts = re.split(r"^Count: \d+ lines\n", gateway.shell(*commands).stdout, flags=re.M)
    return dict(zip(TABLES, texts))


def what_of(words):
    return "-".join(w for w in words if w not in ("counters", "detail", "summary"))


def texts_are_json(gateway, show):
    before = {words: show(what_of(words)) for words in TABLES}
    texts = all_texts(gateway)
    for words, (listed, columns) in TABLES.items():
        old, new = before[words][listed], show(what_of(words))[listed]
        rows = read_table(texts[words])[:len(old)]      # lines may follow
        assert len(rows) == len(old) == len(new), "show %s: %d rows of %d" % (
            " ".join(words), len(rows), len(old))
        for row, was, now in zip(rows, old, new):
            for head, key in columns.items():
                assert says(row[head], was[key], now[key]), "show %s: %s is '%s', JSON has %s" % (
                    " ".join(words), head, row[head], now[key])


# --- the document ------------------------------------------------------------------------------

def document():
    """{what: example} of docs/show-json.md."""
    with open(os.path.join(ROOT, "docs", "show-json.md"), encoding="utf-8") as text:
        found = re.findall(r"^## (\S+)[^\n]*\n```json\n(.*?)```", text.read(), re.M | re.S)
    return {what: json.loads(example) for what, example in found}


def differences(where, example, shown):
    """What an object has that its example has not, and the other way."""
    if isinstance(example, list) and isinstance(shown, list):
        known = [e for e in example if isinstance(e, dict)]
        for one in shown if known else ():
            if isinstance(one, dict):
                yield from min((list(differences(where, e, one)) for e in known), key=len)
    elif isinstance(example, dict) and isinstance(shown, dict):
        for key in set(example) ^ set(shown):
            if key not in AT_TIMES:
                yield "%s %s is %s" % (where, key, "missing" if key in example else "not documented")
        for key in set(example) & set(shown):
            yield from differences(where + "." + key, example[key], shown[key])


def shows_are_as_documented(show):
    for what, example in document().items():
        if what == "failover-events":
            continue
        found = list(differences(what, example, show(
            what, TWO["vnet_host"] if what == "fib" else "")))
        assert not found, "; ".join(found[:4])


# --- counters ----------------------------------------------------------------------------------

def wires(lab):
    """{interface: {part: number}} as the far ends of our wires have it."""
    found = {}
    for name, (place, device) in FAR_ENDS.items():
        text = lab.run(place, "cat", "/proc/net/dev").stdout
        words = next(line.split() for line in text.splitlines()
                     if line.split()[:1] == [device + ":"])
        found[name] = {"tx_bytes": int(words[1]), "tx_packets": int(words[2]),
                       "rx_bytes": int(words[9]), "rx_packets": int(words[10])}
    return found


class Reading:
    """What we count at one moment, between two readings of the wires' far ends."""

    def __init__(self, bed, show):
        self.earlier = wires(bed.lab)
        self.interfaces = {i["name"]: i for i in show("interfaces")["interfaces"]}
        self.later = wires(bed.lab)
        self.tunnels = {t["tunnel"]: t for t in show("ipsec-statistics")["tunnels"]}
        self.sas = show("ipsec-sa")["sas"]
        self.workers = show("workers")["workers"]
        self.outbound = {s["spi"]: s for s in self.sas if s["dir"] == "out"}
        self.azure = azures_sas(bed.lab)
        self.outbound_later = {s["spi"]: s for s in show("ipsec-sa")["sas"] if s["dir"] == "out"}

    def sa(self, tunnel, direction):
        return sum(s["packets"] for s in self.sas
                   if s["tunnel"] == tunnel and s["dir"] == direction)


def interfaces_count_what_the_wires_carry(old, new):
    for name in FAR_ENDS:
        for part in PARTS:
            ours = new.interfaces[name][part] - old.interfaces[name][part]
            least = new.earlier[name][part] - old.later[name][part]
            if name in TAGGED and part.endswith("_bytes"):      # a tag may be the port's own work
                least -= 4 * TAGGED[name] * (new.later[name]["%s_packets" % part[:2]] -
                                             old.earlier[name]["%s_packets" % part[:2]])
            most = new.later[name][part] - old.earlier[name][part]
            assert least <= ours <= most, "%s %s: %d, the far end has %d to %d" % (
                name, part, ours, least, most)


def workers_lose_nothing(reading):
    for w in reading.workers:
        came = w["rx_packets"] + w["from_twin_packets"] + w["created_packets"]
        went = w["tx_packets"] + w["dropped_packets"] + w["mirrored_packets"]
        assert 0 <= came - went < 8, "worker %d: %d came, %d went" % (w["worker"], came, went)
    ports = sum(reading.interfaces[name]["rx_packets"] for name in FAR_ENDS)
    rx = sum(w["rx_packets"] for w in reading.workers)
    assert ports <= rx < ports + 100, "ports received %d, workers %d" % (ports, rx)


def tunnels_count_what_azure_saw(old, new, span):
    for number, name in enumerate(TUNNELS, 1):
        def more(key, name=name):
            return new.tunnels[name][key] - old.tunnels[name][key]
        for direction in ("out", "in"):
            seen = len(span.ways.probes(name, direction))
            lost = len(span.lost()[direction])      # by Azure's host when it starves, else 0
            transit = more("transit_%s_packets" % direction)
            beyond = transit - seen if direction == "out" else seen - transit
            assert seen > 0 and 0 <= beyond <= lost, "%s %s: %d of transit, Azure saw %d" % (
                name, direction, transit, seen)
            sealed = new.sa(name, direction) - old.sa(name, direction)
            own = more("own_%s_packets" % direction)
            assert 0 <= sealed - transit - own <= own + 20, \
                "%s %s: the SAs count %d, the tunnel %d and %d of its own" % (
                    name, direction, sealed, transit, own)
        assert more("violations") == 0
        assert new.tunnels[name]["children"] == sum(
            s["dir"] == "in" for s in new.sas if s["tunnel"] == name), number


def azures_sas(lab):
    """{SPI: (packets, age)} of what Azure's child SAs received."""
    return {"%08x" % int(child["spi-in"], 16): (int(child["packets-in"]),
                                                float(child["install-time"]))
            for azure in lab.azures.values() for child in azure.child_sas()}


def sas_are_strongswans(old, new, lost):
    """What each outbound SA sent between the two readings is what Azure's received."""
    for spi, (received, age) in new.azure.items():
        sent = [s[spi]["packets"] for s in (old.outbound, old.outbound_later,
                                            new.outbound, new.outbound_later)]
        more = received - old.azure[spi][0]
        assert sent[2] - sent[1] - lost <= more <= sent[3] - sent[0], \
            "SPI %s: Azure has %d more packets, we %s" % (spi, more, sent)
        assert abs(new.outbound[spi]["age_s"] - age) < 2.5, (new.outbound[spi], age)


# --- the rest ----------------------------------------------------------------------------------

def routes_are_the_kernels(bed, show):
    shown = {r["prefix"]: r for r in show("route")["routes"]}
    for option in ("-4", "-6"):
        for line in bed.lab.run("gw", "ip", option, "route", "show", "proto", "bgp").stdout.splitlines():
            if line[0] not in "\t ":
                assert shown[line.split()[0]]["source"] == "bgp", line
    paths = shown["10.100.0.0/16"]["paths"]
    assert [(p["path"], p["interface"], p["active"]) for p in paths if p["up"]] == [
        ("expressroute", "primary", True), ("expressroute", "secondary", True),
        ("azure1", None, False), ("azure2", None, False)], paths
    fib = show("fib", TWO["vnet_host"])
    assert fib["next_hop"] in (TWO["edge_er1"], TWO["edge_er2"]) and fib["verdict"] == "forward"


def sessions_are_frrs_and_configured(bed, show):
    frr = json.loads(bed.lab.frr.vtysh("show bgp neighbors json"))
    for n in show("bgp")["neighbors"]:
        theirs = frr[n["address"]]
        family = theirs["addressFamilyInfo"]["ipv6Unicast" if ":" in n["address"] else "ipv4Unicast"]
        assert n["state"] == theirs["bgpState"].lower() == "established"
        assert n["prefixes_received"] == family["acceptedPrefixCounter"], n
        assert n["prefixes_sent"] == family["sentPrefixCounter"], n
        assert abs(n["up_s"] - theirs["bgpTimerUpMsec"] / 1000) < 8 and n["bfd"] == "up"
    for b in show("bfd")["bfd"]:
        assert (b["state"], b["remote_state"], b["fault"]) == ("up", "up", False), b
        assert 300 <= b["transmit_ms"] <= 301 and 900 <= b["detect_ms"] <= 903, b
        assert 0 <= b["heard_s"] < 0.9 and b["downs"] < b["ups"], b


def probes_have_answers(show):
    probes = show("probes")["probes"]
    assert {p["path"] for p in probes} >= {"expressroute", *TUNNELS}
    for p in probes:
        assert p["state"] == "up" and p["sent_packets"] - p["received_packets"] - \
            p["lost_packets"] in (0, 1, 2), p
        assert p["rtt_min_us"] <= p["rtt_p50_us"] <= p["rtt_p99_us"] <= p["rtt_max_us"], p
        assert sum(n for _, _, n in p["rtt_histogram_us"]) == p["received_packets"], p
    standby = show("failover-readiness")["vnets"][0]
    assert standby["standby"] in TUNNELS and standby["ready"], standby


def switches_are_told(bed, since_ns, count):
    """As many as there were: by an operator, in order, at their time, the same in the text."""
    told = [s for s in bed.gateway.switches() if s["at_ns"] > since_ns]
    assert [(s["from"], s["cause"]) for s in told] == [
        ("expressroute", "operator"), (told[0]["to"], "operator")][:count], told
    assert all(s["detect_ms"] is None and 0 <= s["switch_us"] < 10**6 for s in told), told
    line = bed.gateway.shell("show", "failover", "history").stdout.splitlines()[1]
    assert told[-1]["at"].replace("T", " ").rstrip("Z") in line and "operator" in line


@contextlib.contextmanager
def by_the_tunnels(two):
    """Both directions through the tunnels, by hand: no prefix moves, so nothing has to converge."""
    ip_batch(two.lab.ns("vnet"), [TO_TUNNELS])
    two.gateway.shell("failover", "switch", "tunnel", "manual")
    two.gateway.wait_active("tunnel", 5)
    try:
        yield
    finally:
        two.gateway.shell("failover", "resume")
        ip_batch(two.lab.ns("vnet"), [TO_TUNNELS.replace("route add", "route del")])
        two.gateway.wait_active("expressroute", 5)


@leaves_bed_clean
def test_shows_tell_the_truth_as_text_and_as_json(two):
    with Control(two.gateway) as control:
        truth_is_told(two, control.show)


def sas_are_settled(show):
    """The rekey that checks PFS is over and its old SA gone, with what that had counted."""
    inbound = [s["tunnel"] for s in show("ipsec-sa")["sas"] if s["dir"] == "in"]
    checked = {i["peer"] for i in show("ike")["ike"] if (i["pfs_check"] or {}).get("outcome") == "ok"}
    return checked >= set(TUNNELS) and all(inbound.count(name) == 1 for name in TUNNELS)


def truth_is_told(two, show):
    wait_until(lambda: sas_are_settled(show), 40, "the check of rekeying of both tunnels", 0.2)
    begun = now_ns()
    first = Reading(two, show)
    with two.traffic(rate=500) as span:
        with by_the_tunnels(two):
            time.sleep(0.4)
            carriers = two.gateway.candidates()
        time.sleep(0.2)
    last = Reading(two, show)
    interfaces_count_what_the_wires_carry(first, last)
    workers_lose_nothing(last)
    tunnels_count_what_azure_saw(first, last, span)
    for way in EDGES + TUNNELS:
        assert span.ways.probes(way, "out") and span.ways.probes(way, "in"), way
    sent = {d: f.offered() for d, f in span.flows.items()}
    lan = {p: last.interfaces["lan0"][p] - first.interfaces["lan0"][p] for p in PARTS}
    assert sent["out"] <= lan["rx_packets"] < sent["out"] + 50, (sent, lan)
    assert {carriers[t] for t in TUNNELS} == {"up"}, "both tunnels carry: %s" % carriers
    sas_are_strongswans(first, last, len(span.lost()["out"]))
    routes_are_the_kernels(two, show)
    sessions_are_frrs_and_configured(two, show)
    probes_have_answers(show)
    switches_are_told(two, begun, 2)
    shows_are_as_documented(show)
    texts_are_json(two.gateway, show)
