"""`magicpose animate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Reference = Annotated[
    Path, typer.Argument(metavar="REF", help="Picture of the person to be moved.")
]
DriverFile = Annotated[
    Path,
    typer.Argument(
        metavar="DRIVER",
        help="Where the motion comes from: a video, an animated GIF, a folder of pictures, a pose "
        "file (.json, .npz, .npy) or a folder of OpenPose's, or ready-drawn pose maps with "
        "--driver-kind pose-maps.",
    ),
]


def _option(*names: str, help: str, panel: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar)


OUT, MODEL, MOTION, SAMPLING = "Output", "Model", "Motion", "Sampling"


def command(
    reference: Reference,
    driver: DriverFile,
    out: Annotated[str | None, _option("--out", "-o", metavar="OUT", panel=OUT, help="Video "
        "(.mp4, .webm, .mov, .gif) or folder for PNGs (default: REF_DRIVER.mp4).")] = None,
    preset: Annotated[str | None, _option("--preset", "-p", panel=MODEL, metavar="NAME|FILE",
        help="Shipped preset or a TOML file (default: magicpose where its weights are installed, "
        "else mini).")] = None,
    model: Annotated[str | None, _option("--model", "-m", panel=MODEL, metavar="NAME|FOLDER",
        help="Installed model or a model folder.")] = None,
    device: Annotated[str | None, _option("--device", panel=MODEL, metavar="NAME",
        help="auto, cpu, cuda, cuda:N or mps.")] = None,
    dtype: Annotated[str | None, _option("--dtype", panel=MODEL, metavar="NAME",
        help="auto, float32, float16 or bfloat16.")] = None,
    batch_size: Annotated[int | None, _option("--batch-size", panel=MODEL, metavar="N",
        help="Frames made at once; changes the speed, not the result.")] = None,
    steps: Annotated[str | None, _option("--steps", panel=SAMPLING, metavar="N|N%",
        help="Denoising steps, or a share of the model's own.")] = None,
    guidance: Annotated[float | None, _option("--guidance", panel=SAMPLING, metavar="SCALE",
        help="Image guidance; 1 is none.")] = None,
    scheduler: Annotated[str | None, _option("--scheduler", panel=SAMPLING, metavar="NAME",
        help="ddim, unipc, dpm++2m, euler, heun, deis, pndm or a diffusers class name.")] = None,
    seed: Annotated[int | None, _option("--seed", panel=SAMPLING, metavar="N",
        help="Seed of the one noise that all frames share.")] = None,
    prompt: Annotated[str | None, _option("--prompt", panel=SAMPLING, metavar="TEXT",
        help="Text for models with a text encoder.")] = None,
    size: Annotated[str | None, _option("--size", panel=OUT, metavar="N|WxH",
        help="Pixels of the result (default: the model's own).")] = None,
    fit: Annotated[str | None, _option("--fit", panel=OUT, metavar="HOW",
        help="crop (around the person), pad or stretch.")] = None,
    paste_back: Annotated[bool | None, _option("--paste-back/--no-paste-back", panel=OUT,
        help="Put the result back into the whole reference picture.")] = None,
    feather: Annotated[float | None, _option("--feather", panel=OUT, metavar="SHARE",
        help="How far a pasted result fades, as a share of its side.")] = None,
    fps: Annotated[float | None, _option("--fps", panel=MOTION, metavar="RATE",
        help="Another frame rate; time is kept.")] = None,
    start: Annotated[float | None, _option("--start", panel=MOTION, metavar="SECONDS",
        help="Begin here in the driver.")] = None,
    end: Annotated[float | None, _option("--end", panel=MOTION, metavar="SECONDS",
        help="Stop here in the driver.")] = None,
    every: Annotated[int | None, _option("--every", panel=MOTION, metavar="N",
        help="Take every N-th frame; time is kept.")] = None,
    detector: Annotated[str | None, _option("--detector", panel=MOTION, metavar="NAME",
        help="auto (the best at hand), dwpose, mediapipe or mediapipe-tasks.")] = None,
    canvas: Annotated[str | None, _option("--canvas", panel=MOTION, metavar="WxH",
        help="Size of the picture, for pose files that do not tell it.")] = None,
    person: Annotated[str | None, _option("--person", panel=MOTION, metavar="WHO",
        help="Whom to follow: largest, left, right, center, N from the left, or X,Y.")] = None,
    smooth: Annotated[float | None, _option("--smooth", panel=MOTION, metavar="0..2",
        help="Take out jitter, without lag: 0 none, 1 usual.")] = None,
    max_gap: Annotated[float | None, _option("--max-gap", panel=MOTION, metavar="SECONDS",
        help="Longest time without a detection that is filled; longer ones are held.")] = None,
    retarget: Annotated[str | None, _option("--retarget", panel=MOTION, metavar="HOW",
        help="auto, none, align (scale and shift), skeleton (the reference's bones) or full (its "
        "face as well).")] = None,
    anchor: Annotated[str | None, _option("--anchor", panel=MOTION, metavar="WHICH",
        help="Driver's frame that stands as the reference does: best, first or a number.")] = None,
    expression: Annotated[float | None, _option("--expression", panel=MOTION, metavar="0..2",
        help="Strength of the expression with --retarget full.")] = None,
    head: Annotated[float | None, _option("--head", panel=MOTION, metavar="0..2",
        help="Strength of the head's turn with --retarget full.")] = None,
    driver_kind: Annotated[str | None, _option("--driver-kind", panel=MOTION, metavar="KIND",
        help="auto, video, poses or pose-maps.")] = None,
    audio: Annotated[bool | None, typer.Option("--audio/--no-audio", rich_help_panel=OUT,
        help="Keep the driver's sound.")] = None,
    compare: Annotated[bool | None, _option("--compare", panel=OUT,
        help="Write reference, pose and result side by side.")] = None,
    saved_poses: Annotated[bool | None, _option("--save-poses", panel=OUT,
        help="Write the poses as drawn to OUT.poses.json.")] = None,
    overwrite: Annotated[bool, _option("--overwrite", "-y", panel=OUT,
        help="Replace OUT where it exists.")] = False,
    dry_run: Annotated[bool, _option("--dry-run", panel=OUT,
        help="Check everything, show what would be done, stop.")] = False,
    as_json: Annotated[bool, _option("--json", panel=OUT,
        help="Print the result (or the plan) as JSON on stdout.")] = False,
    quiet: Annotated[bool, _option("--quiet", "-q", panel=OUT, help="No progress.")] = False,
) -> None:  # fmt: skip
    """Move the person of REF like the person of DRIVER and write a video.

    Example: magicpose animate me.jpg dance.mp4 -o me_dancing.mp4
    """
    from magicpose_cli.animate import animate, make_plan, resolve_preset
    from magicpose_cli.cli import report
    from magicpose_cli.cli.progress import shown

    settings = resolve_preset(preset).with_options(
        model__name=model,
        model__device=device,
        model__dtype=dtype,
        model__batch_size=batch_size,
        sampling__steps=steps,
        sampling__guidance=guidance,
        sampling__scheduler=scheduler,
        sampling__seed=seed,
        sampling__prompt=prompt,
        frame__size=size,
        frame__fit=fit,
        frame__paste_back=paste_back,
        frame__feather=feather,
        motion__fps=fps,
        motion__start_s=start,
        motion__end_s=end,
        motion__every=every,
        motion__detector=detector,
        motion__canvas=canvas,
        motion__person=person,
        motion__smooth=smooth,
        motion__max_gap_s=max_gap,
        motion__retarget=retarget,
        motion__anchor=anchor,
        motion__expression=expression,
        motion__head=head,
        motion__driver_kind=driver_kind,
        output__audio=audio,
        output__compare=compare,
        output__save_poses=saved_poses,
    )
    if dry_run:
        plan, *_ = make_plan(reference, driver, out, settings, overwrite=overwrite)
        report.plan(plan, as_json)
        return
    with shown(quiet) as on_progress:
        result = animate(
            reference, driver, out, settings, overwrite=overwrite, on_progress=on_progress
        )
    report.result(result, as_json, quiet)
