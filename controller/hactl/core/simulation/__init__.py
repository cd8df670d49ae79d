"""What is played of a document before it is deployed, what came of it, and whether that is what its owner wants."""
