"""A request read: which resource, what body, which selection and form, strictly and within limits."""
