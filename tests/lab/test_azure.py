# SPDX-License-Identifier: BSD-3-Clause
"""Azure's policies and ways, as far as strongSwan can be set to behave so; docs/interop.md tells.

Which side dials is a connection's mode at Azure: ResponderOnly (we dial), InitiatorOnly (it dials),
Default (both). Under traffic in the tunnel nothing may be lost, whoever makes new keys.
"""
import threading
import time

from bed import LONG
from bed_tunnel import not_excused
from net import now_ns, wait_until
from scenario import leaves_bed_clean, long_form
from traffic import ProbePair

# A connection without custom policy (docs/interop.md): the IKE SA, what Azure offers as initiator,
# always without a group, and what it takes as responder, in its order; DES is not to be had here.
DEFAULT_IKE = ", ".join(c + "-" + h + "-modp1024" for c in ("aes256", "aes128", "3des")
                        for h in ("sha1", "sha256"))
DEFAULT_OFFER = "aes256gcm16, aes256-sha1, 3des-sha1, aes256-sha256, aes128-sha1, 3des-sha256"
DEFAULT_TAKEN = DEFAULT_OFFER + ", " + ", ".join((
    "aes256-sha1-modp768", "aes256-sha1-modp1024", "aes256-sha1-modp2048", "aes128-sha1-modp768",
    "aes128-sha1-modp1024", "aes128-sha1-modp2048", "3des-sha1-modp768", "3des-sha1-modp1024",
    "3des-sha256-modp1024", "aes256-sha256-modp768", "aes256-sha256-modp1024",
    "aes256-sha256-modp2048", "aes256-sha1-modp2048s256", "aes256-sha256-modp2048s256",
    "aes128-sha256", "aes128-sha256-modp768", "aes128-sha256-modp1024", "aes128-sha256-modp2048",
    "3des-sha1-modp2048"))
SELECTORS = {"selectors local": "10.1.0.0/16", "selectors remote": "10.100.0.0/16"}
AZURE_INSIDE = "10.100.255.254/32"      # kernel-libipsec wants one when its selectors are a network
EVERYBODY = (("they", "child"), ("we", "child"), ("they", "ike"), ("we", "ike"))


def rekeyed(tunnel, steps, group):
    """Rekeys by these sides, one after the other; children are made with this group, or none."""
    for side, what in steps:
        print("    rekey %s %s: %d to %d" % (side, what, *tunnel.rekey(side, what)))
        got = {sa.get("dh-group") for sa in tunnel.lab.azure.child_sas()}
        assert what == "ike" or got == {group}, "the child was rekeyed with group %s" % got


def carries(tunnel, act):
    """Traffic goes through the tunnel while `act` runs; nothing is lost."""
    with tunnel.traffic(rate=400) as span:
        before, begun = tunnel.lost_at_azure(), now_ns()
        act()
        time.sleep(0.3)
        ended = now_ns()
    for direction, flow in span.flows.items():
        sent = sorted(flow.sent_ns[number] for number in flow.lost(begun))
        if sent:
            print("    lost %s: %d, sent from %d to %d" % (direction, len(sent), sent[0], sent[-1]))
    span.expect_in_tunnel(begun, ended)
    lost = not_excused(span.lost(begun), before, tunnel.lost_at_azure())
    assert not any(lost.values()), "lost packets: %s" % lost


def selectors(tunnel):
    return {(side, *sa[side]) for sa in tunnel.lab.azure.child_sas()
            for side in ("local-ts", "remote-ts")}


@leaves_bed_clean
def test_default_policy_when_we_dial(tunnel):
    """ResponderOnly; of the 26 it takes GCM without a group, so our rekeys have none either."""
    with tunnel.with_settings({"profile": "azure-default", "mode": "initiate"},
                              ike_proposals=DEFAULT_IKE, esp_proposals=DEFAULT_TAKEN):
        tunnel.dial("we")
        assert tunnel.ike()["role"] == "initiator"
        assert tunnel.ike()["cipher"] == "AES256-CBC/SHA1/PRF-SHA1/2", tunnel.ike()["cipher"]
        carries(tunnel, lambda: rekeyed(tunnel, (("we", "child"), ("they", "ike"), ("we", "ike")),
                                        None))


@long_form
@leaves_bed_clean
def test_default_policy_when_azure_dials(tunnel):
    """InitiatorOnly, any-any offered: we narrow to our selectors, at rekeys too; never a group."""
    tunnel.lab.run("azure", "ip", "addr", "add", AZURE_INSIDE, "dev", "lo")
    try:
        with tunnel.with_settings(dict(SELECTORS, profile="azure-default", mode="respond"),
                                  ike_proposals=DEFAULT_IKE, esp_proposals=DEFAULT_OFFER):
            tunnel.dial("they")
            assert tunnel.ike()["role"] == "responder"
            carries(tunnel, lambda: rekeyed(tunnel, EVERYBODY, None))
            assert selectors(tunnel) == {("local-ts", "10.100.0.0/16"),
                                         ("remote-ts", "10.1.0.0/16")}
            assert {sa["encr-alg"] for sa in tunnel.lab.azure.child_sas()} == {"AES_GCM_16"}
    finally:
        tunnel.lab.run("azure", "ip", "addr", "del", AZURE_INSIDE, "dev", "lo")


@long_form
@leaves_bed_clean
def test_both_sides_dial_at_once(tunnel):
    """Default mode: whoever comes first, in the end one IKE SA and one child SA stand and stay."""
    for _ in range(20 if LONG else 1):
        with tunnel.with_settings({"mode": "both"}):
            tunnel.dial("we", "they")
            wait_until(tunnel.is_whole, 20, "one IKE SA and one child SA", 0.05)
            begun = tunnel.ike_spis()
            carries(tunnel, lambda: None)
            assert tunnel.ike_spis() == begun, "the IKE SA did not stay"


@long_form
@leaves_bed_clean
def test_custom_policies_with_and_without_pfs(tunnel):
    """One combination on both sides, dialled by us and by Azure, rekeyed by both."""
    for ike, esp, group in (("aes256gcm16-prfsha384-ecp384", "aes256gcm16", None),
                            ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp384", "ECP_384"),
                            ("aes256-sha256-modp2048", "aes256gcm16-modp2048", "MODP_2048"),
                            ("aes256-sha1-modp1024", "aes256-sha256", None),
                            ("aes256gcm16-prfsha256-ecp256", "aes256gcm16-ecp256", "ECP_256")):
        for who, mode in (("we", "initiate"), ("they", "respond")):
            with tunnel.with_settings({"ike-proposal": ike, "esp-proposal": esp, "mode": mode,
                                       "allow-legacy": "true"},
                                      ike_proposals=ike, esp_proposals=esp):
                tunnel.dial(who)
                carries(tunnel, lambda group=group: rekeyed(tunnel, EVERYBODY, group))


# --- Azure's least lifetime: 300 s, 1,024 KB -----------------------------------------------------

class ByteCounter(threading.Thread):
    """Azure's side of a lifetime by kilobytes, which kernel-libipsec does not have: it looks at the
    counters of its child SA and makes a new one when they have reached the limit."""

    LIMIT = 1024 * 1024

    def __init__(self, azure):
        super().__init__()
        self.azure = azure
        self.over = threading.Event()
        self.rekeys = 0

    def run(self):
        done = set()
        while not self.over.wait(0.1):
            for sa in self.azure.child_sas():
                if max(int(sa["bytes-in"]), int(sa["bytes-out"])) >= self.LIMIT and \
                        sa["spi-in"] not in done:
                    done.add(sa["spi-in"])
                    self.azure.swanctl("--rekey", "--child", "net", check=False)
                    self.rekeys += 1

    def stop(self):
        self.over.set()
        self.join()


def rekeys_by_bytes(tunnel, wanted, counter=None):
    """200 kB/s each way until `wanted` child SAs have come and gone; none may be lost.

    The tenth between new keys and the end of the old ones lasts half a second at this rate.
    """
    bulk = ProbePair(tunnel.lab, rate=200, size=1000, port=7001, name="bulk")
    before, at_azure = tunnel.ike(), tunnel.lost_at_azure()
    with tunnel.traffic(rate=100) as span:
        begun = now_ns()
        bulk.start()
        if counter:
            counter.start()
        try:
            wait_until(lambda: tunnel.ike()["child_rekeys"] - before["child_rekeys"] >= wanted,
                       10 + 8 * wanted, "%d rekeys by bytes" % wanted, 0.2)
        finally:
            flows = bulk.stop()
            if counter:
                counter.stop()
    after = tunnel.ike()
    lost = {d: len(f.lost()) + span.lost(begun)[d] for d, f in flows.items()}
    lost = not_excused(lost, at_azure, tunnel.lost_at_azure())
    assert not any(lost.values()), "lost packets: %s" % lost
    octets = 1000 * min(f.offered() for f in flows.values())
    rekeys = after["child_rekeys"] - before["child_rekeys"]
    assert octets >= 0.7 * 1024 * 1024 * (rekeys - 1), "%d rekeys of %d bytes" % (rekeys, octets)
    assert after["child_rekey_failures"] == before["child_rekey_failures"], "a rekey failed"


@leaves_bed_clean
def test_the_least_lifetime_by_kilobytes_loses_nothing(tunnel):
    """Ours alone counts: at 90 % of 1,024 KB we make new keys."""
    with tunnel.with_settings({"lifetime kilobytes": 1024, "lifetime child": 300}):
        tunnel.dial("we")
        rekeys_by_bytes(tunnel, 100 if LONG else 2)


@long_form
@leaves_bed_clean
def test_kilobytes_counted_by_both_sides_lose_nothing(tunnel):
    """Azure honours its own limit, too: now and then both begin at once."""
    counter = ByteCounter(tunnel.lab.azure)
    with tunnel.with_settings({"lifetime kilobytes": 1190, "lifetime child": 300}):
        tunnel.dial("we")
        rekeys_by_bytes(tunnel, 40, counter)
        assert counter.rekeys >= 10, "Azure made only %d" % counter.rekeys


# --- the IKE SA, renewed early -------------------------------------------------------------------

@long_form
@leaves_bed_clean
def test_azure_makes_a_new_ike_sa_beside_the_old_one(tunnel):
    """Renewal by a new authentication, make before break, every 5 s; in-band is in test_rekey."""
    azure = tunnel.lab.azure
    seen = set()

    def act():
        end = time.monotonic() + 22
        while time.monotonic() < end:
            seen.update(tunnel.ike_spis())
            time.sleep(0.3)
    azure.reload_settings(extra_daemon="make_before_break = yes")
    try:
        with tunnel.with_settings({"mode": "respond"}, extra_connection="reauth_time = 5s"):
            tunnel.dial("they")
            carries(tunnel, act)
            assert len(seen) >= 3, "only %d IKE SAs in 22 s" % len(seen)
    finally:
        azure.reload_settings(extra_daemon="")
