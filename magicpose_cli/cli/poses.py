"""The command `magicpose poses`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli.options import (
    OverwriteFiles,
    Silent,
    SummaryEvents,
    Typed,
    option,
    setting_options,
)
from magicpose_cli.config.preset import MOTION
from magicpose_cli.config.preset import OUTPUT as OUT

PoseSource = Annotated[Path, typer.Argument(metavar="INPUT", show_default=False,
    help="A video, an animated GIF, a folder of pictures, a single picture, a pose file "
    "(.json, .npz, .npy; of OpenPose, DWPose, COCO, AlphaPose, MMPose, MediaPipe), a folder of "
    "those, one a frame, or a motion in space (.bvh, .glb, .vrma, .npz).")]  # fmt: skip
PoseOutput = Annotated[Path | None, option("--out", "-o", panel=OUT, metavar="OUT",
    help="Pose file: .json, .npz (compact, exact), .npy or .dwpose.npz (DWPose's arrays), or "
    "a name without suffix for a folder of OpenPose's files (default: INPUT.poses.json; of a "
    "pose file none is written). Or a film of the drawn pose maps: .mp4, .mov, .webm; of a "
    "picture, a .png.")]  # fmt: skip
Generator = Annotated[str | None, option("--for", panel=OUT, metavar="GENERATOR",
    help="A folder OUT of what another generator takes: wan-animate (the motion on the person "
    "of --ref) or wan-replace (the person of --ref in place of the film's).")]  # fmt: skip
MaxArea = Annotated[str | None, option("--area", panel=OUT, metavar="WxH",
    help="Pixels of a frame at most with --for, in any shape (default: 1280x720).")]  # fmt: skip
FOLLOWING = {f"motion__{name}" for name in ("person", "smooth", "max_gap_s")}
RETARGETING = {f"motion__{name}" for name in ("retarget", "anchor", "expression", "head", "follow")}


@setting_options("motion", without=["motion.driver_kind"])
def command(
    source: PoseSource,
    out: PoseOutput = None,
    maps: Annotated[str | None, option("--maps", panel=OUT, metavar="NAMES",
        help="Beside the drawn pose maps, those of a body that is fitted to the person: some of "
        "depth, normal, normal-bae, parts, silhouette, with commas between, as OUT_depth.mp4 and "
        "so on; OUT without suffix: folders of PNGs.")] = None,
    generator: Generator = None,
    area: MaxArea = None,
    plot: Annotated[Path | None, option("--plot", panel=OUT, metavar="PNG",
        help="Draw what is seen when, how the joints move and where the gaps are.")] = None,
    overlay: Annotated[Path | None, option("--overlay", panel=OUT, metavar="VIDEO",
        help="Draw the poses over the frames; over the reference with --retarget-to.")] = None,
    tracked: Annotated[bool | None, option("--track/--raw", panel=MOTION,
        help="Follow one person, mend and smooth; or take everybody as found (default: films are "
        "tracked, pictures and pose files taken as they are; of these, the options below follow "
        "one person without mending).")] = None,
    retarget_to: Annotated[Path | None, option("--retarget-to", "--ref", panel=MOTION,
        metavar="REF", help="Put the motion on the person of this picture or pose file.")] = None,
    *,
    typed: Typed,
    overwrite: OverwriteFiles = False,
    as_json: SummaryEvents = False,
    quiet: Silent = False,
) -> None:  # fmt: skip
    """Find, convert, summarize, draw and retarget poses.

    `animate` takes what is written as its DRIVER, and so do ControlNet tools.

    Examples:
    * `magicpose poses dance.mp4 -o dance.json --overlay dance_poses.mp4`
    * `magicpose poses dance.json --plot dance.png`
    * `magicpose poses dance.json -o dance.npz`
    * `magicpose poses dance.json --retarget-to me.png -o mine.json`
    * `magicpose poses dance.mp4 --ref me.png -o maps.mp4 --maps depth,normal,parts`
    * `magicpose poses dance.mp4 --ref me.png --for wan-animate -o wan_inputs`
    """
    from magicpose_cli.cli.poses_output import Asked, print_extracted, print_extracted_json
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.config.preset import Preset
    from magicpose_cli.files import name_that_fits
    from magicpose_cli.pose.files.read_write import is_pose_file

    _check_typed(typed, tracked, retarget_to)
    settings = Preset().with_options(**typed)
    if out is None and not is_pose_file(source) and maps is None and generator is None:
        out = Path(name_that_fits("{}.poses.json".format, source.absolute().stem))
    asked = Asked(
        source, out, settings.motion, maps=maps, generator=generator, area=area, tracked=tracked,
        follow=True if FOLLOWING & typed.keys() else tracked, reference=retarget_to,
        overlay=overlay, plot=plot, overwrite=overwrite,
    )  # fmt: skip
    asked.check_usage()
    with shown(quiet, as_json) as on_progress:
        done = asked.write(on_progress)
    if as_json:
        print_extracted_json(source, out, done)
    elif not quiet:
        print_extracted(source, out, done)


def _check_typed(typed: Typed, tracked: bool | None, retarget_to: Path | None) -> None:
    """Refuse settings of what is not done."""
    if tracked is False and FOLLOWING & typed.keys():
        raise typer.BadParameter("--raw follows nobody; leave out --person, --smooth, --max-gap")
    if retarget_to is None and RETARGETING & typed.keys():
        raise typer.BadParameter("say with --retarget-to whom the motion is put on")
