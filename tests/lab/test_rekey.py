# SPDX-License-Identifier: BSD-3-Clause
"""Rekeys from either side under traffic in the tunnel lose nothing.

Short form: 10 child rekeys by Azure and 4 IKE rekeys by us; SPILLWAY_LAB_LONG=1: 100 and 20 by each side.
"""
import time

from bed import LONG
from net import now_ns, wait_until
from scenario import bed_with, leaves_bed_clean, long_form

CHILD_REKEYS = 100 if LONG else 10
IKE_REKEYS = 20 if LONG else 4


def child_spis(bed):
    return {(sa["spi-in"], sa["spi-out"]) for sa in bed.lab.azure.child_sas()}


def ike_spis(bed):
    return {(sa["initiator-spi"], sa["responder-spi"]) for sa in bed.lab.azure.ike_sas()
            if sa.get("state") == "ESTABLISHED"}


def rekey_under_load(bed, count, start_one, present):
    """Rekey `count` times; every time the peer must show an SA that was not there before."""
    with bed.traffic() as span:
        begun = bed.into_tunnel()
        for number in range(count):
            before = present(bed)
            start_one()
            wait_until(lambda before=before: present(bed) - before, 10,
                       "rekey %d of %d" % (number + 1, count), 0.05)
            time.sleep(0.1)
        time.sleep(0.5)
        ended = now_ns()
        bed.back_to_expressroute()
    span.expect_in_tunnel(begun, ended)
    span.expect_no_loss(begun)


@long_form
@leaves_bed_clean
def test_child_rekeys_started_by_us_lose_nothing(bed):
    rekey_under_load(bed, CHILD_REKEYS,
                     lambda: bed.gateway.shell("rekey", "tunnel", "azure-a", "child"), child_spis)


@leaves_bed_clean
def test_child_rekeys_started_by_azure_lose_nothing(bed):
    rekey_under_load(bed, CHILD_REKEYS, bed.lab.azure.rekey_child, child_spis)


@leaves_bed_clean
def test_ike_rekeys_started_by_us_lose_nothing(bed):
    rekey_under_load(bed, IKE_REKEYS,
                     lambda: bed.gateway.shell("rekey", "tunnel", "azure-a", "ike"), ike_spis)


@long_form
@leaves_bed_clean
def test_ike_rekeys_started_by_azure_lose_nothing(bed):
    rekey_under_load(bed, IKE_REKEYS, bed.lab.azure.rekey_ike, ike_spis)


@bed_with(azure={"child_rekey_s": 3, "child_life_s": 30, "ike_rekey_s": 10, "ike_over_s": 30})
def test_short_lifetimes_at_azure_lose_nothing(bed):
    with bed.traffic() as span:
        begun = bed.into_tunnel()
        seen = set()
        end = time.monotonic() + (60 if LONG else 15)
        while time.monotonic() < end:
            seen |= child_spis(bed)
            time.sleep(0.5)
        bed.back_to_expressroute()
    assert len(seen) >= 4, "only %d child SAs in all: no rekeys" % len(seen)
    span.expect_no_loss(begun)
