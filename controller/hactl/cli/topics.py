"""Texts that belong to no single command."""

from __future__ import annotations

EXIT_STATUSES: dict[int, str] = {
    0: "all is well; plan: nothing to do; apply: converged; status: everything is Ready; switchover, drain: done",
    1: "an error: a document, a secret, a node or the record; the message says which and what to do; lint: findings; "
    "simulate: an objective is missed",
    2: "plan, diff: there are changes; simulate: it cannot be played",
    3: "apply, drain, switchover: held back or not there yet; wait: the time was up; status, why: not Ready",
    64: "the command line is wrong",
    70: "a bug in hactl; nothing is done any more",
    130: "stopped by Ctrl-C or SIGTERM; what was and was not done is printed",
    141: "whoever read the output went away",
}

MODES = """\
spec.mode says how far hactl may go:

  Observe   look and report; nothing is ever touched
  Propose   plan, and wait until a person runs: hactl approve CLUSTER DIGEST
            (or, without a controller: hactl apply -f FILE --approve DIGEST)
  Apply     converge (the default)

Whatever the mode, `destructive` steps run only with initialize: IfBlank and only on devices whose first and last MiB
were just seen to be zero, on every node.
"""

SECRETS = """\
A CARP password never stands in a document. passwordFrom names where it is, on the controller:

  passwordFrom: {file: secrets/files.carp}    the first line of a file, relative to the document; mode 0600
  passwordFrom: {env: FILES_CARP_PASSWORD}    a variable of the controller's environment

1 to 19 characters out of letters, digits and _ . + = : @ % , (rc.conf can carry no others safely, carp(4) no more).
On a node it is in the kernel, in /etc/rc.conf.d/netif (mode 0600) and, while ifconfig runs, on its command line.
It is in no plan, no log, no history and no error.
"""


CONTEXTS = """\
A command talks to the first of these that there is:

  --server URL           https://HOST:PORT or unix:PATH
  --context NAME         a context of `hactl config`
  --state PATH           that record: the server beside it if one runs, else the record itself
  HACTL_SERVER, HACTL_CONTEXT, the current context (hactl config use-context)
  this machine's record  as for --state

A running `hactl run` is found by its Unix socket, api.sock beside the record; only its owner can open it, and he may do
everything. Over the network everybody shows a token or a client certificate:

  on the controller's machine   hactl run --source DIR --listen ADDRESS:PORT
                                hactl token create alice --role operator > alice.token
  where you work                hactl config set-context site --server https://HOST:PORT --use \\
                                  --certificate-authority ca.crt --token-file alice.token

ca.crt is tls/ca.crt beside the record. Contexts are kept in ~/.config/hactl/config.yaml (or HACTL_CONFIG), mode 0600.
Without a context, HACTL_TOKEN is the token and HACTL_CA the authority's file.

get, describe, events, wait, diff, edit, delete, token, apply, switchover, drain, uncordon, pause, resume, approve and
resolve are the same with a server and without one. What changes nodes is done by the controller, and the command only
watches; when none runs on the record the command does it itself.
status, history   from this machine's record; with --server, --context or a context elsewhere: from that server.
why, why-not      look at the nodes from here; with a server elsewhere: what its controller saw last, with ages.
kubectl talks to the same server: hactl kubeconfig https://HOST:PORT -o FILE
"""


def exit_codes() -> str:
    """The table of exit statuses."""
    return "\n".join(f"{number:>5}  {text}" for number, text in EXIT_STATUSES.items()) + "\n"


TOPICS = {"exit-codes": exit_codes(), "modes": MODES, "secrets": SECRETS, "contexts": CONTEXTS}
