"""The Kubernetes-style API: `service` is requests and answers as values, `http` puts them on sockets (aiohttp).

The command line uses `service` in its own process when no server runs, so that both give the same answers.
"""
