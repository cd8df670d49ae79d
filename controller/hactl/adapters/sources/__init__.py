"""Where documents come from: files, git, HTTP, Kubernetes, the API of hactl itself."""
