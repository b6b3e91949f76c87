# SPDX-License-Identifier: BSD-3-Clause
"""Strangers who flood IKE, and a peer that vanishes: the tunnel that stands notices nothing.

Floods come from the Internet between the gateway and Azure, with forged sources; the flooder sees what
the gateway answers (tests/tools/ikeflood.c). Short form: 10 s of each; SPILLWAY_LAB_LONG=1: 60 s.
"""
import contextlib
import json
import os
import signal
import time

from bed import LONG
from lab import ADDRESSES
from net import LabError, now_ns, send, wait_until
from scenario import leaves_bed_clean, long_form
from traffic import ESP_NATIVE, ESP_UDP, IKE, tool

SECONDS = 60 if LONG else 10
RATE = int(os.environ.get("SPILLWAY_LAB_FLOOD", "50000"))   # datagrams a second, or what it can
FORGED = 100000 if LONG else 10000
GATEWAY, AZURE = ADDRESSES["gateway_wan"], ADDRESSES["azure_wan"]
RSS_KB = 10 * 1024
ANSWERS_PER_S = 1000
LATE = 300      # answers that one flooder still saw when the other had ended
AMPLIFIED = 1.3
RECONNECT_S, NORMAL_S, HALF_OPEN_S = 5, 15, 30
COOKIES_ABOVE = 30 + 3      # iked's own limit, and what one source may have without a cookie
HALF_OPEN_MAX = 1000
REKEYS, ANSWERED_S = 20, 3     # Azure's first retransmission goes out after 4 s
TICKS = os.sysconf("SC_CLK_TCK")


class Flood:
    """One run of the flooder; `result` is there once it ended."""

    number = 0

    def __init__(self, bed, *options, seconds=SECONDS, rate=RATE):
        self.lab = bed.lab
        Flood.number += 1
        self.out = bed.lab.path("flood-%d.json" % Flood.number)
        self.child = bed.lab.registry.start(
            "ikeflood", [tool("ikeflood"), "--to", GATEWAY, "--iface", "gw0", "--out", self.out,
                         "--seconds", seconds, "--rate", rate, *options],
            ns=bed.lab.ns("inet"), ready="ready")
        self.result = None

    def stop(self, at_once=False):
        if at_once:
            send(self.child.pid, signal.SIGTERM)
        wait_until(lambda: self.child.poll() is not None, SECONDS + 60, "the flood to end")
        if self.child.returncode != 0:
            raise LabError("ikeflood ended with %d" % self.child.returncode)
        with open(self.out, encoding="ascii") as text:
            self.result = json.load(text)
        return self.result


@contextlib.contextmanager
def flood(bed, *options, **more):
    running = Flood(bed, *options, **more)
    try:
        yield running
    except BaseException:
        with contextlib.suppress(Exception):
            running.stop(at_once=True)
        raise
    running.stop()
    print("    flood %s: %s" % (" ".join(map(str, options)), running.result))


def iked(bed):
    return bed.gateway.status()["iked"]["pid"]


def rss_kb(pid):
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as text:
        return int(next(line for line in text if line.startswith("VmRSS")).split()[1])


def cpu_s(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as text:
        fields = text.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def ike_spis(bed):
    return {(sa["initiator-spi"], sa["responder-spi"]) for sa in bed.lab.azure.ike_sas()
            if sa.get("state") == "ESTABLISHED"}


def child_spis(bed):
    return {(sa["spi-in"], sa["spi-out"]) for sa in bed.lab.azure.child_sas()}


def answered_plainly(bed):
    """Whether a request from Azure's address is accepted at once: no cookie is wanted."""
    with flood(bed, "--kind", "init", "--from", AZURE, "--count", 1, seconds=1, rate=10) as one:
        pass
    return one.result["accepted"] == 1


def esp_of(sniffer, outgoing):
    return sum(p.kind in (ESP_NATIVE, ESP_UDP) and p.outgoing == outgoing
               for p in sniffer.packets())


def on_the_way(span):
    """{direction: packets of the tunnel counted before, on and behind the Internet, in their order}."""
    watch = span.watch
    inner = [p.outgoing for p in watch.tunnel.packets()]
    return {"in": (inner.count(1), esp_of(watch.azure_side, False), esp_of(watch.internet, True)),
            "out": (esp_of(watch.internet, False), esp_of(watch.azure_side, True), inner.count(0))}


def counts(bed):
    """What Spillway dropped by reason, and what overflowed the sockets of hosts and strongSwan."""
    found = {"Spillway " + reason: n for reason, n in bed.gateway.dropped().items()}
    for name in ("lan", "vnet", "azure"):
        shown = bed.lab.run(name, "nstat", "-asz", "UdpRcvbufErrors").stdout
        found["sockets of " + name] = int(shown.splitlines()[-1].split()[1])
    return found


def lost_elsewhere(way, grown):
    """What provably was not lost in the gateway: between its link and Azure's tunnel device, or where
    the sockets of a host overflowed."""
    host = {"in": "lan", "out": "vnet"}
    return {d: seen[0] - seen[-1] + grown["sockets of " + host[d]] for d, seen in way.items()}


def expect_no_loss(bed, span, begun, before):
    """Nothing is lost in Spillway: all that was lost from end to end was lost elsewhere, by count."""
    grown = {place: n - before.get(place, 0) for place, n in counts(bed).items()}
    lost, way = span.lost(begun), on_the_way(span)
    elsewhere = lost_elsewhere(way, grown)
    told = "lost %s, of these elsewhere %s; on the way %s; dropped %s" % (
        lost, elsewhere, way, {place: n for place, n in grown.items() if n})
    print("    " + told)
    assert all(flow.offered(begun) for flow in span.flows.values()), "no traffic was offered"
    assert all(lost[d] <= max(0, elsewhere[d]) for d in lost), "lost in Spillway: " + told


def stands_the_flood(bed, *floods, rate=RATE):
    """Traffic in the tunnel loses nothing under floods, iked does not grow; (what was answered, cores)."""
    before, pid, drops = ike_spis(bed), iked(bed), counts(bed)
    with bed.traffic() as span:
        begun = bed.into_tunnel()
        rss, cpu, start = rss_kb(pid), cpu_s(pid), time.monotonic()
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(flood(bed, *options, rate=rate // len(floods)))
                       for options in floods]
        spent = (cpu_s(pid) - cpu) / (time.monotonic() - start)
        grown = rss_kb(pid) - rss
        ended = now_ns()
        bed.back_to_expressroute()
    expect_no_loss(bed, span, begun, drops)
    span.expect_in_tunnel(begun, ended)
    assert ike_spis(bed) == before, "another IKE SA after the flood"
    assert grown <= RSS_KB, "iked grew by %d KB" % grown
    return [one.result for one in running], spent


FROM_ANYWHERE = ("--kind", "init", "--from", "random")
FROM_AZURE = ("--kind", "init", "--from", AZURE)


def few_answers(found):
    """What one source may have: cookies at a bounded rate, and no key exchange for nothing."""
    assert found["cookies"] > 0, "nothing was answered: the test proves nothing: %s" % found
    assert found["accepted"] <= COOKIES_ABOVE, "key exchanges without a cookie: %s" % found
    assert found["answers_peak"] <= ANSWERS_PER_S, "too many answers: %s" % found
    assert found["answer_bytes"] <= AMPLIFIED * found["sent_bytes"], "amplified: %s" % found


@leaves_bed_clean
def test_floods_from_anywhere_and_in_the_name_of_azure_cost_the_tunnel_nothing(bed):
    """Strangers get no answer, Azure's address few cookies and no key exchange without one."""
    (anywhere, azure), _ = stands_the_flood(bed, FROM_ANYWHERE, FROM_AZURE)
    # both count what the gateway says, and it says nothing but to Azure
    assert abs(anywhere["answers"] - azure["answers"]) <= LATE, \
        "strangers were answered: %s %s" % (anywhere, azure)
    assert anywhere["sent"] + azure["sent"] >= 1000 * SECONDS, "that was no flood"
    few_answers(azure)


@long_form
@leaves_bed_clean
def test_a_flood_from_anywhere_is_not_answered(bed):
    (found,), _ = stands_the_flood(bed, FROM_ANYWHERE)
    assert found["answers"] == 0, "strangers were answered: %s" % found


@long_form
@leaves_bed_clean
def test_after_a_flood_in_the_name_of_azure_it_is_normal_again_in_15_s(bed):
    (found,), _ = stands_the_flood(bed, FROM_AZURE)
    few_answers(found)
    begun = time.monotonic()
    wait_until(lambda: answered_plainly(bed), NORMAL_S, "requests to be accepted again", 1)
    print("    back to normal after %.1f s" % (time.monotonic() - begun))


@long_form
@leaves_bed_clean
def test_azure_comes_back_amid_a_flood(bed):
    with flood(bed, *FROM_ANYWHERE) as running:
        bed.lab.azure.terminate()
        begun = time.monotonic()
        bed.lab.azure.initiate()
        wait_until(lambda: bed.lab.azure.is_up() and bed.gateway.tunnel_ready(), RECONNECT_S,
                   "the tunnel amid the flood", 0.05)
        print("    up again after %.1f s" % (time.monotonic() - begun))
        assert running.child.poll() is None, "the flood was over before"


@long_form
@leaves_bed_clean
def test_rekeys_amid_a_flood_in_the_name_of_azure_wait_for_no_retransmission(bed):
    """What belongs to an IKE SA does not stand behind those who would begin one."""
    waits = []
    with flood(bed, *FROM_AZURE) as running:
        for number in range(REKEYS):
            before, begun = child_spis(bed), time.monotonic()
            bed.lab.azure.rekey_child()
            wait_until(lambda before=before: child_spis(bed) - before, ANSWERED_S,
                       "rekey %d amid the flood" % number, 0.05)
            waits.append(time.monotonic() - begun)
            time.sleep(0.5)
        assert running.child.poll() is None, "the flood was over before"
    print("    the slowest of %d rekeys took %.2f s" % (REKEYS, max(waits)))


@long_form
@leaves_bed_clean
def test_half_open_sas_and_rubbish_for_them_are_bounded_and_gone_in_30_s(bed):
    count = HALF_OPEN_MAX
    (found,), spent = stands_the_flood(
        bed, FROM_AZURE + ("--count", count, "--finish", "--garbage", 5),
        rate=2 * count // SECONDS)
    ended = time.monotonic()
    assert found["accepted"] > COOKIES_ABOVE and found["garbage"] == 5 * found["accepted"], \
        "nobody was let in with a cookie: %s" % found
    assert found["accepted"] <= HALF_OPEN_MAX, "too many half-open: %s" % found
    assert spent <= 1.0, "iked took %.2f cores" % spent
    wait_until(lambda: answered_plainly(bed), HALF_OPEN_S, "half-open SAs to be gone", 1)
    print("    %.2f cores; gone after %.1f s" % (spent, time.monotonic() - ended))


@long_form
@leaves_bed_clean
def test_forged_notifies_of_lost_sas_end_nothing(bed):
    """INVALID_IKE_SPI and INVALID_SPI without protection, for the SA that stands and for others."""
    before = ike_spis(bed)
    (spi_i, spi_r), = before
    with bed.traffic() as span:
        begun = bed.into_tunnel()
        start = now_ns()
        told = 0        # answers to the forger: nobody has such an IKE SA here
        for options in (("--spi-i", spi_i, "--spi-r", spi_r), ()):
            with flood(bed, "--kind", "spi", "--from", AZURE, "--count", FORGED // 2, *options,
                       rate=FORGED // 4, seconds=10) as running:
                pass
            told += running.result["answers"]
        ended = now_ns()
        bed.back_to_expressroute()
    span.expect_no_loss(begun)
    assert ike_spis(bed) == before, "a forged notify ended an IKE SA"
    asked = [p for p in span.watch.azure_side.packets()
             if p.kind == IKE and start < p.time_ns < ended and p.outgoing][told:]
    allowed = 1 + (ended - start) // (10 * 10**9)
    assert len(asked) <= allowed, "%d probes in %.0f s" % (len(asked), (ended - start) / 1e9)


def reboot(bed):
    """charon dies without a word and starts again, knowing nothing; returns the time of the kill."""
    azure = bed.lab.azure
    stamp = bed.lab.note("kill -9 charon")
    send(azure.child.pid, signal.SIGKILL)
    azure.stop()
    wait_until(lambda: bed.lab.run("azure", "ip", "link", "show", "ipsec0", check=False).returncode,
               5, "the tunnel device of the dead charon to go", 0.02)
    azure.start(routes=["10.1.0.0/16 dev ipsec0"])
    return stamp


def rx_packets(bed):
    shown = bed.lab.run("gw", "ip", "-j", "-s", "link", "show", "dev", "p-wan").stdout
    return json.loads(shown)[0]["stats64"]["rx"]["packets"]


def received(bed):
    return next(i["rx_packets"] for i in bed.gateway.show("interfaces")["interfaces"]
                if i["name"] == "wan0")


@leaves_bed_clean
def test_what_finds_no_room_in_a_ports_ring_is_counted(bed):
    """The data plane stands still for a moment of a flood: what came is received or `missed`."""
    dataplane = bed.gateway.status()["dataplane"]["pid"]
    time.sleep(0.1)
    missed, wire, taken = bed.gateway.dropped()["missed"], rx_packets(bed), received(bed)
    with flood(bed, *FROM_ANYWHERE, seconds=1, rate=50000):
        time.sleep(0.2)
        send(dataplane, signal.SIGSTOP)
        time.sleep(0.4)     # 20,000 datagrams; BFD waits longer
        send(dataplane, signal.SIGCONT)
    wire, taken = rx_packets(bed) - wire, received(bed) - taken
    missed = bed.gateway.dropped()["missed"] - missed
    print("    %d on the wire, %d received, %d missed" % (wire, taken, missed))
    assert missed > 1000, "the ring had room for all: the test proves nothing"
    assert abs(wire - taken - missed) <= 10, "frames that nobody counted"


@leaves_bed_clean
def test_a_peer_that_reboots_and_dials_is_taken_at_once(bed):
    old = ike_spis(bed)
    reboot(bed)
    bed.lab.azure.initiate()
    begun = time.monotonic()
    new = ike_spis(bed)
    assert new and not new & old
    wait_until(lambda: (shown := bed.gateway.show("ike")["ike"][0])["state"] == "established" and
               shown["spi_i"] in {spi for pair in new for spi in pair}, 1,
               "the new IKE SA to be the one that is shown", 0.05)
    wait_until(bed.gateway.tunnel_ready, 2, "the new tunnel to be ready", 0.05)
    print("    taken after %.2f s" % (time.monotonic() - begun))


@long_form
@leaves_bed_clean
def test_a_peer_that_reboots_and_is_silent_is_found_out_by_dpd(bed):
    """The verdict falls within the configured time and 10 %, and the tunnel is dialled anew."""
    delay, timeout = 5, 10
    bed.gateway.configure(["set tunnel azure-a dpd delay %d timeout %d" % (delay, timeout)])
    bed.wait_ready()
    azure = bed.lab.azure
    killed = time.monotonic()
    send(azure.child.pid, signal.SIGKILL)
    azure.stop()
    wait_until(lambda: not bed.gateway.tunnel_ready(), (delay + timeout) * 1.1 + 1, "the verdict", 0.05)
    verdict = time.monotonic() - killed
    assert verdict >= timeout * 0.9, "a verdict after %.1f s already" % verdict
    azure.start(routes=["10.1.0.0/16 dev ipsec0"])
    bed.wait_ready()
    bed.gateway.configure(["delete tunnel azure-a dpd"])
    bed.wait_ready()
