"""Running the controller, and who may use its API."""
