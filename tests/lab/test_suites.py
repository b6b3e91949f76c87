# SPDX-License-Identifier: BSD-3-Clause
"""Every family of ESP suites is negotiated with strongSwan and carries traffic both ways.

Azure takes any of them; what we have configured decides. Each is tried by a new configuration of
the same tunnel, so one bed serves all. The matrix (test_matrix.py) tries each, too, in every run.
"""
import time

from net import now_ns, wait_until
from scenario import bed_with, long_form

TUNNEL = "azure-a"
# configured here -> what strongSwan calls the SA's algorithms, and what our shell does
SUITES = {
    "chacha20poly1305": ("CHACHA20_POLY1305", None, None, "ChaCha20-Poly1305"),
    "aes256-sha256": ("AES_CBC", "256", "HMAC_SHA2_256_128", "AES256-CBC/SHA256"),
    "aes128-sha1": ("AES_CBC", "128", "HMAC_SHA1_96", "AES128-CBC/SHA1"),
}
AZURE_TAKES = ", ".join(["aes256gcm16-ecp384", "chacha20poly1305", "aes256-sha256", "aes128-sha1"])


def without_profile(lines):
    """The demo's tunnel with proposals of its own, so that the ESP suite can be changed alone."""
    kept = [line for line in lines if not line.startswith("set tunnel %s profile" % TUNNEL)]
    return kept + ["set tunnel %s ike-proposal aes256gcm16-prfsha384-ecp384" % TUNNEL,
                   "set tunnel %s esp-proposal aes256gcm16-ecp384" % TUNNEL,
                   "set tunnel %s allow-legacy true" % TUNNEL]


def negotiated(bed, suite):
    """Does the peer have a child SA of this suite?"""
    encr, bits, integ, _ = SUITES[suite]
    return any(sa.get("encr-alg") == encr and sa.get("encr-keysize") == bits
               and sa.get("integ-alg") == integ for sa in bed.lab.azure.child_sas())


def shown(bed):
    """The suites of the SAs that the data plane has, by `show ipsec sa`."""
    return {sa["cipher"] for sa in bed.gateway.show("ipsec", "sa")["sas"]}


def child_spis(bed):
    return {(sa["spi-in"], sa["spi-out"]) for sa in bed.lab.azure.child_sas()}


def use_suite(bed, before, suite):
    """Configure the suite and wait until the VNet is back in the tunnel that stands with it."""
    stamp = now_ns()
    bed.gateway.configure(["delete tunnel %s esp-proposal %s" % (TUNNEL, before),
                           "set tunnel %s esp-proposal %s" % (TUNNEL, suite)])
    wait_until(lambda: negotiated(bed, suite), 15, "a child SA of %s" % suite, 0.1)
    wait_until(lambda: any(s["at_ns"] > stamp and s["to"] == TUNNEL
                           for s in bed.gateway.switches()), 15,
               "the VNet to use the tunnel with %s" % suite, 0.1)


@long_form
@bed_with(azure={"esp_proposals": AZURE_TAKES}, config=without_profile)
def test_every_family_of_esp_suites_carries_traffic(bed):
    before = "aes256gcm16-ecp384"
    bed.into_tunnel()
    for suite in SUITES:
        use_suite(bed, before, suite)
        time.sleep(1)       # another suite is another tunnel: the peer may still send on the old one
        with bed.traffic() as span:
            begun = now_ns()
            old = child_spis(bed)
            bed.gateway.shell("rekey", "tunnel", TUNNEL, "child")
            wait_until(lambda old=old: child_spis(bed) - old, 5, "the rekeyed SA", 0.1)
            time.sleep(0.5)
            ended = now_ns()
        assert negotiated(bed, suite), "the rekey changed the suite"
        assert shown(bed) == {SUITES[suite][3]}, "show ipsec sa has %s" % shown(bed)
        span.expect_in_tunnel(begun, ended)
        span.expect_no_loss()
        before = suite
