"""The subjects of a simulation besides workloads: one file each, in the shape of `subject.py`."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.simulation.subjects import autoscaling, custom, identities, networking, quotas
from tests.support.simulation.subjects.subject import Subject

SUBJECTS: Sequence[Subject] = (
    autoscaling.SUBJECT, custom.SUBJECT, identities.SUBJECT, networking.SUBJECT, quotas.SUBJECT,
)  # fmt: skip
