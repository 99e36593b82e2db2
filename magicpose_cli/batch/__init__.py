"""Many jobs with the models loaded once: reading job lists, doing them, reporting."""

from magicpose_cli.batch.batch_run import BatchRun, Outcome
from magicpose_cli.batch.jobs import ForAll, Job, pair_jobs, read_jobs

__all__ = ["BatchRun", "ForAll", "Job", "Outcome", "pair_jobs", "read_jobs"]
