# SPDX-License-Identifier: Apache-2.0
"""The identities of the loss accounting, checked on the JSON of `keytrail status -o json`. Pure: a unit test feeds it a status with one term changed."""


def differences(status):
    """{name of the identity: left side minus right side}; every value must be 0 at rest."""
    accounting = status["accounting"]
    out = {}
    for family, terms in accounting["kernel"].items():
        out[f"kernel {family}: hits = filtered + sent + lost"] = terms["hits"] - terms["filtered"] - terms["sent"] - sum(terms["lost"].values())
    worker = accounting["worker"]
    kernel_sent = sum(terms["sent"] for terms in accounting["kernel"].values())
    out["rings: sent = received + in the rings"] = kernel_sent - worker["received"] - worker["in_rings"]
    out["worker: received = recorded + absorbed + dropped + in flight"] = (
        worker["received"] - worker["recorded"] - worker["absorbed"] - sum(worker["dropped"].values()) - worker["in_flight"])
    for exporter in accounting["exporters"]:
        out[f"exporter {exporter['name']}: rows = acknowledged + rejected + expired + waiting"] = (
            exporter["rows"] - exporter["acknowledged"] - exporter["rejected"] - exporter["expired"] - exporter["waiting"])
    return out


def broken(status):
    """Lines for the identities that do not hold."""
    return [f"{name}: difference {value}" for name, value in differences(status).items() if value != 0]
