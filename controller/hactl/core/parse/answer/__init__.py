"""The probe's answer taken apart: its sections, and each group of readings that a node is made of."""
