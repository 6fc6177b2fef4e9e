# SPDX-License-Identifier: Apache-2.0
"""The identities of the loss accounting, checked on the JSON of `keytrail status -o json`. Pure: self_test.py feeds it
a status with one term changed.

The agent shows differences of its own; they are not trusted here but compared with the sums made from the terms.
"""


def identities(status):
    """(name, left side, right side, difference as the agent shows it or None); both sides must be equal at rest."""
    accounting = status["accounting"]
    for family in status["families"]:
        yield (f"{family['family']}: hits = filtered + sent + lost", family["hits"],
               family["filtered"] + family["sent"] + sum(family["lost"].values()), family["difference"])
    kernel, worker, families = accounting["kernel"], accounting["worker"], status["families"]
    for term in ("hits", "filtered", "sent"):
        yield f"kernel {term} = sum over families", kernel[term], sum(family[term] for family in families), None
    lost = sum(sum(family["lost"].values()) for family in families)
    yield "kernel lost = sum over families", kernel["lost"], lost, None
    yield ("kernel: hits = filtered + sent + lost", kernel["hits"],
           kernel["filtered"] + kernel["sent"] + kernel["lost"], kernel["difference"])
    fates = worker["recorded"] + worker["absorbed"] + sum(worker["dropped"].values())
    fates += worker["in_flight"]
    yield "worker: sent = recorded + absorbed + dropped + in flight", worker["sent"], fates, worker["difference"]
    yield "worker: sent by the kernel side = sent as the worker counts it", kernel["sent"], worker["sent"], None
    yield "worker: received = recorded + absorbed + dropped + in flight", worker["received"], fates, None
    yield "worker: in flight = 0", worker["in_flight"], 0, None
    for exporter in accounting["exporters"]:
        yield (f"exporter {exporter['name']}: rows = acknowledged + rejected + expired + waiting", exporter["rows"],
               exporter["acknowledged"] + exporter["rejected"] + exporter["expired"] + exporter["waiting"],
               exporter["difference"])


def broken(status):
    """Lines for the identities that do not hold."""
    lines = []
    for name, left, right, shown in identities(status):
        if left != right:
            lines.append(f"{name}: {left} is not {right}, difference {left - right}")
        if shown is not None and shown != left - right:
            lines.append(f"{name}: the agent shows difference {shown}, its terms say {left - right}")
    return lines
