"""How ffmpeg is told to encode a film, by its suffix."""

from __future__ import annotations

_BT709 = (
    "scale=out_color_matrix=bt709:out_range=tv,format={},"
    "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
)
_FRAGMENTED = ("-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof")
WORST_VP9_CRF = 63  # VP9 counts 0..63 where x264 has 0..51


def encoder_arguments(suffix: str, *, crf: int, preset: str, lossless: bool) -> tuple[str, ...]:
    """Return ffmpeg's arguments between the input and the name of a recording.

    Without `lossless` colors have half the resolution (4:2:0), which every player understands. With
    it they have all of it (4:4:4) and nothing is lost but what 8 bits of BT.709 round: a channel
    comes back within 2 levels of 255. Some players (QuickTime, Firefox) do not show that.

    Args:
        suffix: ".mp4", ".mov", ".webm" or ".gif", whose recording is a lossless film.
        crf: x264's quality, 0 best.
        preset: x264's speed.
        lossless: Keep every pixel's color.
    """
    to_bt709 = _BT709.format("yuv444p" if lossless else "yuv420p")
    if suffix == ".gif":
        return ("-c:v", "libx264rgb", "-preset", "ultrafast", "-crf", "0", *_FRAGMENTED)
    if suffix == ".webm":
        number = str(min(WORST_VP9_CRF, crf + 12))
        quality = ("-lossless", "1") if lossless else ("-crf", number)
        speed = ("-b:v", "0", "-deadline", "good", "-cpu-used", "4", "-row-mt", "1")
        return ("-c:v", "libvpx-vp9", *quality, *speed, "-vf", to_bt709)
    quality = ("-crf", "0" if lossless else str(crf))
    return ("-c:v", "libx264", "-preset", preset, *quality, "-vf", to_bt709, *_FRAGMENTED)
