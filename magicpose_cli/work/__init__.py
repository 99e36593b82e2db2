"""What a run has finished is kept beside its output until the output stands."""

from magicpose_cli.work.folder import WorkFolder, by_name, work_path

__all__ = ["WorkFolder", "by_name", "work_path"]
