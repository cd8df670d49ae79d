"""The one script that reads everything of a node in one pass: probe.sh, and the settings in front of it."""
