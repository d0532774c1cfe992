"""The subjects of a simulation besides workloads: one file each, in the shape of `subject.py`."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.simulation.subjects import (
    autoscaling,
    custom,
    devices,
    hosts,
    identities,
    networking,
    placing,
    quotas,
    storage,
)
from tests.support.simulation.subjects.subject import Subject

SUBJECTS: Sequence[Subject] = (
    autoscaling.SUBJECT, custom.SUBJECT, devices.SUBJECT, hosts.SUBJECT, identities.SUBJECT, networking.SUBJECT,
    placing.SUBJECT, quotas.SUBJECT, storage.SUBJECT,
)  # fmt: skip
