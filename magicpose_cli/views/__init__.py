"""Novel views: the person of one picture as a solid, turned before the same background."""
