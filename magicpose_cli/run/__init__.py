"""A run before and behind its frames: checked beforehand, resumed, timed, finished."""
