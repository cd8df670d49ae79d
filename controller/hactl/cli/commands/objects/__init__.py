"""Objects of the API as kubectl treats them: get, describe, edit, delete, wait."""
