"""Each person of a re-identification set drawn again in poses and from cameras that it lacks."""
