"""Every row of sig-apps and sig-scheduling of upstream's conformance suite, by its test name, has a test that stands for it.

Most are marked with `tests.support.e2e.row` in the modules named here; what they need of time or of failing pods cannot be had from
simulated containers on the wire, so that some are in unit tests, against the same control plane with a kubelet that does as told.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import e2e
from tests.wire import test_rows_apps, test_rows_jobs, test_rows_scheduling, test_rows_sets

MODULES = (test_rows_apps, test_rows_sets, test_rows_jobs, test_rows_scheduling)
UNIT = Path(__file__).parents[1] / "unit" / "controllers"

ELSEWHERE = {
    "CronJob AllowConcurrent": ("test_cronjob.py", "test_concurrency_policies"),
    "CronJob ForbidConcurrent": ("test_cronjob.py", "test_concurrency_policies"),
    "CronJob ReplaceConcurrent": ("test_cronjob.py", "test_concurrency_policies"),
    "CronJob Suspend": ("test_cronjob.py", "test_no_job_while_suspended"),
    "Ensure pod failure policy allows to ignore failure matching on the DisruptionTarget condition": (
        "test_job.py", "test_a_failure_policy_ignores_disruptions",
    ),
    "Ensure that all indexes are executed for an indexed job with backoffLimitPerIndex despite some failing": (
        "test_job.py", "test_every_index_runs_despite_some_that_fail",
    ),
    "Ensure that job with successPolicy succeededCount rule succeeded even when some indexes remain pending": (
        "test_job.py", "test_a_success_policy_ends_the_job_early",
    ),
    "Ensure that job with successPolicy succeededIndexes rule succeeded even when some indexes remain pending": (
        "test_job.py", "test_a_success_policy_ends_the_job_early",
    ),
    "Jobs, completion after task failure": ("test_job.py", "test_restarts_of_containers_do_not_fail_a_job_within_its_limit"),
    "Mark indexes as failed when the FailIndex action is matched in podFailurePolicy": (
        "test_job.py", "test_the_rule_fail_index_gives_an_index_up_at_once",
    ),
    "StatefulSet, Burst Scaling": ("test_statefulset.py", "test_parallel_sets_burst"),
    "StatefulSet, Rolling Update with Partition": (
        "test_statefulset.py", "test_a_partition_holds_the_update_back_also_for_pods_made_anew",
    ),
    "StatefulSet, Scaling": (
        "test_statefulset.py", "test_scaling_is_in_order_and_halts_while_all_are_unhealthy",
    ),
    "Terminate job execution when the maxFailedIndexes is exceeded": (
        "test_job.py", "test_too_many_failed_indexes_end_the_job",
    ),
    "Verify Pod Failure policy allows to fail job early on exit code.": (
        "test_job.py", "test_a_failure_policy_fails_the_job_on_an_exit_code",
    ),
}  # fmt: skip
"""Row → (file in tests/unit/controllers, test)."""

ROWS = """
ControllerRevision, resource lifecycle
CronJob API Operations
CronJob AllowConcurrent
CronJob ForbidConcurrent
CronJob ReplaceConcurrent
CronJob Suspend
DaemonSet, list and delete a collection of DaemonSets
DaemonSet, status sub-resource
DaemonSet-Creation
DaemonSet-FailedPodCreation
DaemonSet-NodeSelection
DaemonSet-RollingUpdate
DaemonSet-Rollback
Deployment Proportional Scaling
Deployment Recreate
Deployment RevisionHistoryLimit
Deployment RollingUpdate
Deployment Rollover
Deployment, completes the lifecycle of a Deployment
Deployment, completes the scaling of a Deployment subresource
Deployment, status sub-resource
Ensure Pods of an Indexed Job get a unique index.
Ensure pod failure policy allows to ignore failure matching on the DisruptionTarget condition
Ensure that all indexes are executed for an indexed job with backoffLimitPerIndex despite some failing
Ensure that job with successPolicy succeeded when all indexes succeeded
Ensure that job with successPolicy succeededCount rule succeeded even when some indexes remain pending
Ensure that job with successPolicy succeededIndexes rule succeeded even when some indexes remain pending
Jobs, active pods, graceful termination
Jobs, apply changes to status
Jobs, completion after task failure
Jobs, manage lifecycle
Jobs, orphan pods, re-adoption
LimitRange, list, patch and delete a LimitRange by collection
LimitRange, resources
Mark indexes as failed when the FailIndex action is matched in podFailurePolicy
Pod preemption verification
PodDisruptionBudget: Status updates
PodDisruptionBudget: block an eviction until the PDB is updated to allow it
PodDisruptionBudget: create, update, patch, and delete object
PodDisruptionBudget: list and delete collection
PodDisruptionBudget: update and patch status
Replica Set, adopt matching pods and release non matching pods
Replica Set, run basic image
ReplicaSet, completes the scaling of a ReplicaSet subresource
ReplicaSet, is created, Replaced and Patched
ReplicaSet, list and delete a collection of ReplicaSets
ReplicaSet, status sub-resource
Replication Controller, adopt matching pods
Replication Controller, check for issues like exceeding allocated quota
Replication Controller, get and update ReplicationController scale
Replication Controller, lifecycle
Replication Controller, release pods
Replication Controller, run basic image
Scheduler, Basic Preemption
Scheduler, Preemption for critical pod
Scheduler, Verify PriorityClass endpoints
Scheduler, node selector matching
Scheduler, node selector not matching
Scheduler, resource limits
Scheduling, HostPort and Protocol match, HostIPs different but one is default HostIP (0.0.0.0)
StatefulSet resource Replica scaling
StatefulSet, Burst Scaling
StatefulSet, Recreate Failed Pod
StatefulSet, Rolling Update
StatefulSet, Rolling Update with Partition
StatefulSet, Scaling
StatefulSet, list, patch and delete a collection of StatefulSets
StatefulSet, status sub-resource
Terminate job execution when the maxFailedIndexes is exceeded
Verify Pod Failure policy allows to fail job early on exit code.
Verify the DisruptionTarget condition is added to the preempted pod
""".strip().splitlines()


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_a_test(name: str) -> None:
    assert (name in e2e.rows) != (name in ELSEWHERE), "one place for each"
    if name in ELSEWHERE:
        file, test = ELSEWHERE[name]
        assert re.search(rf"^(async )?def {test}\(", (UNIT / file).read_text(), re.MULTILINE)


def test_every_mark_names_a_row() -> None:
    """Of those in these modules; others stand for rows of other SIGs."""
    modules = {module.__name__ for module in MODULES}
    by_module = {name: {test.rsplit(".", 1)[0] for test in tests} for name, tests in e2e.rows.items()}
    marked = {name for name, found in by_module.items() if found & modules}
    assert marked | set(ELSEWHERE) == set(ROWS)
    assert set().union(*(by_module[name] for name in marked)) == modules
