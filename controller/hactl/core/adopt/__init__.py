"""From files of nodes that somebody set up by hand to a first document: what is wrong in them, what is meant."""
