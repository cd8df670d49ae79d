"""What every port promises, as suites that the real adapter and its fake both pass."""
