"""What the tests share: worlds, scenes, contracts, a node's sh, limits; nothing here is a test of its own."""
