"""Programs of disks and filesystems: hastctl, mount, newfs, zpool, geom and their kin."""
