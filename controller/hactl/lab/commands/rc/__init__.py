"""Programs around rc(8): service and sysrc."""
