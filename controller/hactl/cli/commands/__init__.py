"""The commands, one file each; those that belong together share a folder."""
