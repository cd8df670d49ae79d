"""ifconfig(8): its options, what it prints of an interface, and the words that change one."""
