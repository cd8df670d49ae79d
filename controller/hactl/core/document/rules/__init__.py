"""What types cannot say about a document: one table of rules for nodes, network, storage and failover."""
