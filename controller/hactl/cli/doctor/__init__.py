"""What `hactl doctor` checks, one module a place: this machine, what documents refer to, the record, the nodes."""
