"""Programs that show, change and copy files and bytes."""
