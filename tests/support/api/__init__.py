"""The API and Kubernetes around it: a service without HTTP, a served record, kubectl, a small API server."""
