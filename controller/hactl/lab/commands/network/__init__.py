"""Programs of the network: ifconfig and ping."""
