"""The released model from the hub to a folder that runs: fetched, converted, registered."""

from __future__ import annotations

import shutil
from pathlib import Path

from magicpose_cli import models as catalog
from magicpose_cli.diffusion.checkpoint.loading import RELEASED_MODEL
from magicpose_cli.errors import ModelError
from magicpose_cli.progress import OnProgress, Progress, silent

HALF = 0.55  # of the source's size: what the half-precision folder takes, and a little


def install_released(
    on_progress: OnProgress = silent,
    *,
    entry: catalog.Entry | None = None,
    dtype: str = "float16",
    free: bool = False,
    overwrite: bool = False,
) -> tuple[Path, list[str]]:
    """Fetch the released checkpoint and its tokenizer, and make the model `magicpose` of them.

    entry: what `catalog.asked` has said. dtype: float32, float16 or bfloat16 of the new folder.
    free: delete what was fetched once the model stands. overwrite: replace one that stands.

    Returns the model's folder and what the conversion says of it. Raises a MagicPoseError; what was
    fetched stays, so that the next try converts it at once.
    """
    folder = catalog.models_home() / RELEASED_MODEL
    if (folder / "model_index.json").is_file() and not overwrite:
        raise ModelError(f"{RELEASED_MODEL} is installed in {folder}; --overwrite makes it anew")
    source = catalog.fetch(RELEASED_MODEL, on_progress, entry)
    checkpoint = source / catalog.CATALOG[RELEASED_MODEL].files[0].name
    room, needed = shutil.disk_usage(source).free, HALF * checkpoint.stat().st_size
    if needed > room:
        raise ModelError(
            f"{folder}: converting takes {needed / 1e9:.1f} GB, {room / 1e9:.1f} GB are free; make "
            "room and run the command again, nothing has to be fetched twice"
        )
    from magicpose_cli.diffusion.checkpoint.conversion import convert_checkpoint
    from magicpose_cli.diffusion.checkpoint.loading import quiet

    def tell(part: str, done: int, total: int) -> None:
        on_progress(Progress("convert", done, total, "parts"))

    with quiet():
        report = convert_checkpoint(
            checkpoint, folder, base=source, dtype=dtype, overwrite=overwrite, progress=tell
        )
    if free:
        catalog.remove_weights(RELEASED_MODEL)
    return folder, report.summary()
