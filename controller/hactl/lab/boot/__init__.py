"""What rc does with a node: furnish its disk, boot it, run one script for one word, shut it down."""
