"""One pass over one cluster: observe, plan, record, and carry out the first stage."""
