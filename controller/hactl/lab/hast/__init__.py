"""hastd(8) of a node: the main process, its configuration, its workers, and what they keep on the disk."""
