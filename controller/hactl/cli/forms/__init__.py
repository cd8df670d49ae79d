"""What `-o` takes: forms that are named, and templates as kubectl's users write them."""
