"""Command texts read as sh, as each program would, and as hastd would read hast.conf: text in, effects out."""
