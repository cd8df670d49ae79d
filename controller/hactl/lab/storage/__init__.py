"""The storage of a node: its file tree, disks as bytes, UFS and ZFS in those bytes, and the mount table."""
