"""`magicpose animate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli import complete
from magicpose_cli.cli.options import (
    MOTION,
    SPEED,
    Anchor,
    Canvas,
    Detector,
    Devices,
    End,
    Every,
    Expression,
    Follow,
    Fps,
    Head,
    MaxGap,
    Person,
    RayAddress,
    Retarget,
    Smooth,
    Start,
    Workers,
    option,
)
from magicpose_cli.cli.stdin import without_stdin

Reference = Annotated[
    Path, typer.Argument(metavar="REF", help="Picture of the person to be moved, or -.")
]
DriverFile = Annotated[
    Path,
    typer.Argument(
        metavar="DRIVER",
        help="Where the motion comes from: a video, an animated GIF, a folder of pictures, a pose "
        "file (.json, .npz, .npy) or a folder of OpenPose's, or ready-drawn pose maps with "
        "--driver-kind pose-maps; or -.",
    ),
]


OUT, MODEL, SAMPLING = "Output", "Model", "Sampling"


def command(
    reference: Reference,
    driver: DriverFile,
    out: Annotated[str | None, option("--out", "-o", metavar="OUT", panel=OUT, help="Video "
        "(.mp4, .webm, .mov, .gif) or folder for PNGs (default: REF_DRIVER.mp4).")] = None,
    preset: Annotated[str | None, option("--preset", "-p", panel=MODEL, metavar="NAME|FILE",
        complete=complete.presets, help="Shipped preset or a TOML file (default: magicpose where "
        "its weights are installed, else mini).")] = None,
    model: Annotated[str | None, option("--model", "-m", panel=MODEL, metavar="NAME|PATH",
        complete=complete.models, help="Installed model, a model's folder, a released checkpoint "
        "(.th) or a fetched repository (ORG/NAME).")] = None,
    base: Annotated[str | None, option("--base", panel=MODEL, metavar="NAME|PATH",
        help="Another Stable Diffusion 1.5 in the denoiser's place: a folder, .safetensors, .ckpt "
        "or a fetched repository.")] = None,
    lora: Annotated[list[str] | None, option("--lora", panel=MODEL, metavar="PATH[:SCALE]",
        help="A LoRA, LoCon, LoHa, LoKr, IA3 or DoRA for the denoiser: a file or a folder with "
        "one; repeatable.")] = None,
    embedding: Annotated[list[str] | None, option("--embedding", panel=MODEL,
        metavar="PATH[:WORD]", help="A textual inversion: a word more for the prompt; "
        "repeatable.")] = None,
    vae: Annotated[str | None, option("--vae", panel=MODEL, metavar="NAME|PATH",
        help="Another autoencoder to decode with, such as taesd: a folder or one file.")] = None,
    device: Annotated[str | None, option("--device", panel=MODEL, metavar="NAME",
        help="auto, cpu, cuda, cuda:N or mps.")] = None,
    dtype: Annotated[str | None, option("--dtype", panel=MODEL, metavar="NAME",
        help="auto, float32, float16 or bfloat16.")] = None,
    steps: Annotated[str | None, option("--steps", panel=SAMPLING, metavar="N|N%",
        help="Denoising steps, or a share of the model's own.")] = None,
    guidance: Annotated[float | None, option("--guidance", panel=SAMPLING, metavar="SCALE",
        help="Image guidance; 1 is none.")] = None,
    scheduler: Annotated[str | None, option("--scheduler", panel=SAMPLING, metavar="NAME",
        help="ddim, unipc, dpm++2m, euler, heun, deis, pndm or a diffusers class name.")] = None,
    seed: Annotated[int | None, option("--seed", panel=SAMPLING, metavar="N",
        help="Seed of the one noise that all frames share.")] = None,
    start_from_warp: Annotated[float | None, option("--start-from-warp", panel=SAMPLING,
        metavar="SHARE", help="Begin from the warped reference with this share of the noise, 0 to "
        "1.")] = None,
    prompt: Annotated[str | None, option("--prompt", panel=SAMPLING, metavar="TEXT",
        help="Text for models with a text encoder.")] = None,
    negative_prompt: Annotated[str | None, option("--negative-prompt", panel=SAMPLING,
        metavar="TEXT", help="What the result is to have nothing of.")] = None,
    batch_size: Annotated[int | None, option("--batch-size", panel=SPEED, metavar="N",
        help="Frames made at once; changes the speed, not the result.")] = None,
    compiled: Annotated[str | None, option("--compile", panel=SPEED, metavar="WHEN",
        help="auto (on CUDA, where the clip is long enough), on or off.")] = None,
    offload: Annotated[str | None, option("--offload", panel=SPEED, metavar="WHAT",
        help="none, model or sequential: what waits in main memory (CUDA).")] = None,
    slicing: Annotated[str | None, option("--slicing", panel=SPEED, metavar="WHEN",
        help="auto, on or off: the autoencoder a part at a time, for large pictures.")] = None,
    cache_every: Annotated[int | None, option("--cache-every", panel=SPEED, metavar="N",
        help="Run the deep layers in every Nth step only; costs quality.")] = None,
    reuse: Annotated[float | None, option("--reuse", panel=SPEED, metavar="PIXELS",
        help="Show a frame again while no point moves farther; costs quality above 0.")] = None,
    quantize: Annotated[str | None, option("--quantize", panel=SPEED, metavar="TYPE",
        help="none, int8 or fp8 weights (torchao); costs quality.")] = None,
    workers: Workers = 0,
    devices: Devices = "",
    ray: RayAddress = None,
    size: Annotated[str | None, option("--size", panel=OUT, metavar="N|WxH",
        help="Pixels of the result: N on its short side, in the reference's shape, or WxH "
        "(default: the model's own N; warped, 512).")] = None,
    fit: Annotated[str | None, option("--fit", panel=OUT, metavar="HOW",
        help="crop (around the person), pad or stretch.")] = None,
    paste_back: Annotated[bool | None, option("--paste-back/--no-paste-back", panel=OUT,
        help="Put the result back into the whole reference picture.")] = None,
    feather: Annotated[float | None, option("--feather", panel=OUT, metavar="SHARE",
        help="How far a pasted result fades, as a share of its side.")] = None,
    keep_background: Annotated[bool | None, option("--keep-background/--no-keep-background",
        panel=OUT, help="Put the reference's own pixels where the person is not.")] = None,
    warp: Annotated[str | None, option("--warp", panel=OUT, metavar="WHEN",
        help="auto, on or off: move the reference's own pixels (auto: with mini).")] = None,
    warp_strength: Annotated[float | None, option("--warp-strength", panel=OUT, metavar="0..1",
        help="How much of them; below 1 the model's own frame shows through.")] = None,
    secondary_motion: Annotated[bool | None, option("--secondary-motion/--no-secondary-motion",
        panel=OUT, help="Let warped hair and clothes swing as the driver's do.")] = None,
    fps: Fps = None,
    start: Start = None,
    end: End = None,
    every: Every = None,
    detector: Detector = None,
    canvas: Canvas = None,
    person: Person = None,
    follow: Follow = None,
    smooth: Smooth = None,
    max_gap: MaxGap = None,
    retarget: Retarget = None,
    anchor: Anchor = None,
    expression: Expression = None,
    head: Head = None,
    driver_kind: Annotated[str | None, option("--driver-kind", panel=MOTION, metavar="KIND",
        help="auto, video, poses or pose-maps.")] = None,
    audio: Annotated[bool | None, typer.Option("--audio/--no-audio", rich_help_panel=OUT,
        help="Keep the driver's sound.")] = None,
    audio_track: Annotated[int | None, option("--audio-track", panel=OUT, metavar="N",
        help="Which of the driver's sound tracks, from 1 (default: the one players take).")] = None,
    compare: Annotated[bool | None, option("--compare", panel=OUT,
        help="Write reference, pose, the model's frame (warped) and result side by side.")] = None,
    saved_poses: Annotated[bool | None, option("--save-poses", panel=OUT,
        help="Write the poses as drawn to OUT.poses.json.")] = None,
    overwrite: Annotated[bool, option("--overwrite", "-y", panel=OUT,
        help="Replace OUT where it exists.")] = False,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", rich_help_panel=OUT,
        help="Go on where an interrupted run of the same job stopped.")] = True,
    dry_run: Annotated[bool, option("--dry-run", panel=OUT,
        help="Check everything, show what would be done, stop.")] = False,
    as_json: Annotated[bool, option("--json", panel=OUT,
        help="Events on stdout, one JSON object a line; the last is the result.")] = False,
    quiet: Annotated[bool, option("--quiet", "-q", panel=OUT, help="No progress.")] = False,
) -> None:  # fmt: skip
    """Move the person of REF like the person of DRIVER and write a video.

    The poses of DRIVER are found in every frame, laid onto the person of REF, and drawn with the
    appearance of REF. Frame rate, length and sound are the driver's. `-` in the place of REF or
    DRIVER reads it from standard input.

    Examples:

    * `magicpose animate me.jpg dance.mp4 -o me_dancing.mp4`
    * `magicpose animate me.jpg dance.mp4 --preset fast --compare --end 3`
    * `magicpose animate me.jpg talk.mp4 --retarget full --expression 1.2 --paste-back`
    * `magicpose animate me.jpg dance.mp4 --base dreamshaper.safetensors --lora ink.safetensors:0.6`
    * `cat me.jpg | magicpose animate - dance.mp4 -o me.mp4`
    """
    from magicpose_cli.animation import animate
    from magicpose_cli.cli import run_summary as summary
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.run.preflight import make_plan, resolve_preset
    from magicpose_cli.run.resources import Resources, Spread

    settings = resolve_preset(preset, model).with_options(
        model__name=model,
        model__device=device,
        model__dtype=dtype,
        model__batch_size=batch_size,
        model__compile=compiled,
        model__offload=offload,
        model__slicing=slicing,
        model__quantize=quantize,
        model__base=base,
        model__lora=lora or None,
        model__embedding=embedding or None,
        model__vae=vae,
        sampling__cache_every=cache_every,
        sampling__reuse_px=reuse,
        sampling__steps=steps,
        sampling__guidance=guidance,
        sampling__scheduler=scheduler,
        sampling__seed=seed,
        sampling__start_from_warp=start_from_warp,
        sampling__prompt=prompt,
        sampling__negative_prompt=negative_prompt,
        frame__size=size,
        frame__fit=fit,
        frame__paste_back=paste_back,
        frame__feather=feather,
        frame__keep_background=keep_background,
        frame__warp=warp,
        frame__warp_strength=warp_strength,
        frame__secondary_motion=secondary_motion,
        motion__fps=fps,
        motion__start_s=start,
        motion__end_s=end,
        motion__every=every,
        motion__detector=detector,
        motion__canvas=canvas,
        motion__person=person,
        motion__follow=follow,
        motion__smooth=smooth,
        motion__max_gap_s=max_gap,
        motion__retarget=retarget,
        motion__anchor=anchor,
        motion__expression=expression,
        motion__head=head,
        motion__driver_kind=driver_kind,
        output__audio=audio,
        output__audio_track=audio_track,
        output__compare=compare,
        output__save_poses=saved_poses,
    )
    with without_stdin(reference, driver) as (picture, moves):
        if dry_run:
            plan, *_ = make_plan(
                picture, moves, out, settings, overwrite=overwrite, dry_run=True
            )  # fmt: skip
            summary.plan(plan, as_json)
            return
        spread = Spread.typed(workers, devices, ray)
        shows, at_hand = shown(quiet, as_json), Resources(spread, remember=False)
        with shows as on_progress, at_hand as resources:
            result = animate(
                picture, moves, out, settings, overwrite=overwrite, resume=resume,
                resources=resources, on_progress=on_progress,
            )  # fmt: skip
    summary.result(result, as_json, quiet)
