"""Programs of processes, users and the kernel."""
