"""What a run has finished is kept beside its output until the output stands."""

from magicpose_cli.work.folder import WorkFolder, work_path

__all__ = ["WorkFolder", "work_path"]
