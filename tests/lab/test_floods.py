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
from traffic import IKE, tool

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


def answered_plainly(bed):
    """Whether a request from Azure's address is accepted at once: no cookie is wanted."""
    with flood(bed, "--kind", "init", "--from", AZURE, "--count", 1, seconds=1, rate=10) as one:
        pass
    return one.result["accepted"] == 1


def stands_the_flood(bed, *floods, rate=RATE):
    """Traffic in the tunnel loses nothing under floods, iked does not grow; (what was answered, cores)."""
    before, pid = ike_spis(bed), iked(bed)
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
    span.expect_no_loss(begun)
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
