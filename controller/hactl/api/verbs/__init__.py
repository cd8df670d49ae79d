"""What the verbs of Kubernetes do: get, list, watch, create, update, patch, delete, and describing it all."""
