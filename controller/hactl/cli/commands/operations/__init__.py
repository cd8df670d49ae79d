"""What people ask of a cluster besides its document: each command makes, follows or cancels an HAOperation."""
