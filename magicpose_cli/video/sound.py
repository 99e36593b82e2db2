"""The sound that goes with the frames: which track, which stretch, and how it can be written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from magicpose_cli.video.ffmpeg import QUIET, last_line, run_ffmpeg, source

SOUND_CODECS = {".mp4": "aac", ".mov": "aac", ".webm": "opus"}
SOUND_ENCODING = {
    ".mp4": ("-c:a", "aac"),
    ".mov": ("-c:a", "aac"),
    ".webm": ("-c:a", "libopus", "-b:a", "128k"),
}
STREAM_FORMATS = {
    ".webm": ("-f", "webm"),
    ".mp4": ("-f", "mp4", "-movflags", "frag_keyframe+empty_moov"),
}
PACKET_S = 0.03  # longer than one packet of AAC or Opus
# What an encoder may take where it refuses a layout of channels, the fullest first. Layouts that
# cannot be mixed have no meaning for each channel; their first two are as good as any.
REMIXES = (
    ("", ()),
    ("", ("-af", "aformat=channel_layouts=7.1|5.1|stereo|mono")),
    ("mixed to stereo", ("-af", "aformat=channel_layouts=stereo")),
    ("its first two channels", ("-af", "pan=stereo|c0=c0|c1=c1")),
)
TRACK_LINE = re.compile(rb"Stream #0:\d+[^\n]*?: Audio: (\w+)([^\n]*)")


@dataclass(frozen=True)
class SoundTrack:
    """A sound track of a film.

    Attributes:
        codec: Such as "aac"; "none" for an unknown one.
        is_default: Whether the film flags it as the default one.
    """

    codec: str
    is_default: bool


@dataclass(frozen=True)
class Sound:
    """The part of a film's sound that belongs to the frames.

    Attributes:
        path: Of the film.
        start_s: Seconds on the film's clock.
        duration_s: None is up to the film's end.
        track: Its number among the film's sound tracks, from 0; None for the one that players take.
        tracks: The film's sound tracks, as `Clip.sound_tracks` has them; None asks ffmpeg.
    """

    path: Path
    start_s: float = 0.0
    duration_s: float | None = None
    track: int | None = None
    tracks: tuple[SoundTrack, ...] | None = None


@dataclass(frozen=True)
class WritableSound:
    """A sound and ffmpeg's arguments that write it, known to work.

    Attributes:
        sound: What is written.
        arguments: Of ffmpeg.
        ends_early: Whole packets are written, so that the last one must end before the frames do.
    """

    sound: Sound
    arguments: tuple[str, ...]
    ends_early: bool

    def input_of(self, length_s: float) -> tuple[str, ...]:
        """Return ffmpeg's arguments that open at most `length_s` seconds of the sound."""
        length_s = min(length_s, self.sound.duration_s or length_s)
        length_s -= PACKET_S if self.ends_early else 0.0
        cut = ("-ss", f"{self.sound.start_s:.6f}", "-t", f"{max(length_s, 0.001):.6f}")
        return (*cut, *source(self.sound.path))


def tracks_in(header: bytes) -> tuple[SoundTrack, ...]:
    """Read the sound tracks from what ffmpeg prints of a file that it has opened."""
    return tuple(
        SoundTrack(codec.decode(), b"(default)" in rest)
        for codec, rest in TRACK_LINE.findall(header)
    )


def default_track(tracks: Sequence[SoundTrack]) -> int | None:
    """Return the track that players take: of those that can be decoded the default or first one."""
    known = [number for number, track in enumerate(tracks) if track.codec != "none"]
    flagged = [number for number in known if tracks[number].is_default]
    return next(iter(flagged or known), None)


def writable_sound(sound: Sound, suffix: str) -> tuple[WritableSound | None, list[str]]:
    """Find how a file of this suffix takes the sound, tried on the sound's first second.

    Sound of the right codec is copied where it starts at 0, else it is encoded anew, with the
    channels that the encoder can take.

    Returns:
        The sound, or None where there is none that can be read; and lines for the user.
    """
    tracks = sound.tracks
    if tracks is None:
        tracks = tracks_in(run_ffmpeg("-hide_banner", "-nostdin", *source(sound.path)).stderr)
    track = default_track(tracks) if sound.track is None else sound.track
    if track is None or track >= len(tracks):
        unread = [f"the sound of {sound.path.name} is of an unknown kind and is left out"]
        return None, unread if tracks else []
    chosen = ("-map", f"1:a:{track}")
    if tracks[track].codec == SOUND_CODECS[suffix] and sound.start_s == 0:
        return WritableSound(sound, (*chosen, "-c:a", "copy"), ends_early=True), []
    second = ("-ss", f"{sound.start_s:.6f}", "-t", "1", *source(sound.path))
    encoded = STREAM_FORMATS.get(suffix, STREAM_FORMATS[".mp4"])
    for change, remix in REMIXES:
        how = (*remix, *SOUND_ENCODING[suffix])
        trial = run_ffmpeg(*QUIET, *second, "-map", f"0:a:{track}", *how, *encoded, "-")
        if trial.returncode == 0:
            notes = [f"the sound of {sound.path.name} is written as {change}"] if change else []
            return WritableSound(sound, (*chosen, *how), ends_early=suffix == ".webm"), notes
    reason = last_line(trial.stderr)
    return None, [f"the sound of {sound.path.name} cannot be read ({reason}) and is left out"]
