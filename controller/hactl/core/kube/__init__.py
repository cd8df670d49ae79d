"""The Kubernetes side of the house: kinds, selectors, patches, field ownership, tables, discovery, as pure functions.

Rules: values here are what travels as JSON (dicts with wire names); nothing awaits, reads a clock or knows HTTP; every
refusal is an `ApiError`, which the API turns into a Status object as kubectl expects it.
"""
