"""What would happen, before anything is deployed: faults played on simulated nodes with the hook they would get."""
