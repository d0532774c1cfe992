"""The subjects of a simulation besides workloads: one file each, in the shape of `subject.py`."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.simulation.subjects import autoscaling, identities, quotas
from tests.support.simulation.subjects.subject import Subject

SUBJECTS: Sequence[Subject] = (autoscaling.SUBJECT, identities.SUBJECT, quotas.SUBJECT)
