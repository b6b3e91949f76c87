# SPDX-License-Identifier: BSD-3-Clause
"""A PFS group that Azure means differently is found seconds after the tunnel came up, not at the
first rekey hours later; the tunnel goes on.
"""
from net import wait_until
from scenario import bed_with, long_form

TUNNEL = "azure-a"


def pfs_check(bed):
    """What `show ike` says of the check."""
    return next(row["pfs_check"] for row in bed.gateway.show("ike")["ike"]
                if row["peer"] == TUNNEL)


def outcome_becomes(bed, wanted):
    wait_until(lambda: pfs_check(bed)["outcome"] == wanted, 15,
               "the check's outcome '%s', it is: %s" % (wanted, pfs_check(bed)), 0.2)


def readiness(bed):
    """The entry of the only vnet, and that of its only tunnel, in `show failover readiness`."""
    vnet = bed.gateway.show("failover", "readiness")["vnets"][0]
    return vnet, vnet["tunnels"][0]


@long_form
@bed_with(azure={"esp_proposals": "aes256gcm16-ecp256"})
def test_another_pfs_group_at_azure_is_found_at_once_and_the_tunnel_goes_on(bed):
    before = bed.lab.azure.child_sas()
    assert before, "the first child SA, which has no key exchange, should stand"
    outcome_becomes(bed, "refused")
    check = pfs_check(bed)
    assert "NO_PROPOSAL_CHOSEN" in check["cause"], check
    assert "pfsGroup" in check["mend"] and "ECP384" in check["mend"], check
    vnet, tunnel = readiness(bed)
    assert (vnet["verdict"], tunnel["pfs"]) == ("degraded", "failed"), (vnet, tunnel)
    assert any("pfsGroup" in text for text in vnet["findings"]), vnet["findings"]
    assert bed.gateway.log("iked").count("outcome=refused") == 1
    assert {c["spi-in"] for c in bed.lab.azure.child_sas()} == {c["spi-in"] for c in before}

    # Azure's policy is set right, for which it drops the tunnel: checked again, and now agreed.
    bed.lab.azure.load(esp_proposals="aes256gcm16-ecp384")
    bed.lab.azure.terminate()
    outcome_becomes(bed, "ok")
    assert readiness(bed)[1]["pfs"] == "proven"
