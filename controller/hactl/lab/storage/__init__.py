"""The storage of a node: disks as bytes, UFS and ZFS in those bytes, and the mount table."""
