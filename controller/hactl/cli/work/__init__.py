"""Work with the nodes in this process: one loop for their connections, and a controller's work for one command."""
