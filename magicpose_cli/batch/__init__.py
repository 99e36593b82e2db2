"""Many jobs with the models loaded once: reading job lists, doing them, reporting."""

from magicpose_cli.batch.jobs import ForAll, Job, pair_jobs, read_jobs
from magicpose_cli.batch.run import Batch, Outcome

__all__ = ["Batch", "ForAll", "Job", "Outcome", "pair_jobs", "read_jobs"]
