"""A lab for people: machines in real time behind SSH servers, and the socket that breaks them on purpose."""
