"""Traps and background jobs, as FreeBSD's sh and dash have them: what a hook that is stopped still does."""

from __future__ import annotations

import pytest

from support.lab.pair import Pair

#: (script, what it prints), each as a node of 13.2 and dash do.
SCRIPTS = {
    "a trap on TERM ends it in its own way": ("trap 'echo term; exit 5' TERM; kill -TERM $$; echo not", "term\n"),
    "or lets it go on": ("trap 'echo term' TERM; kill -TERM $$; echo on", "term\non\n"),
    "also in a function": ("trap 'exit 3' TERM; trap 'echo bye' EXIT; f() { kill $$; echo no; }; f", "bye\n"),
    "EXIT is no signal: without a trap on TERM it is not run": (
        "sh -c 'trap \"echo bye\" EXIT; kill -15 $$'; echo $?",
        "143\n",
    ),
    "nothing is run at a kill": ("sh -c 'trap \"echo bye\" EXIT TERM; kill -9 $$'; echo $?", "137\n"),
    "the command at work ends first": (
        "sh -c 'trap \"echo got; exit 9\" TERM; sleep 2; echo no' & p=$!; sleep 0.3; kill $p; wait $p; echo $?",
        "got\n9\n",
    ),
    "wait ends at once": (
        "sh -c 'trap \"echo got; exit 9\" TERM; sleep 9 & wait; echo no' & p=$!; sleep 0.3; kill $p; wait $p; echo $?",
        "got\n9\n",
    ),
    "timeout gives its own status": ("timeout 1 sh -c 'trap \"exit 3\" TERM; sleep 5 & wait'; echo $?", "124\n"),
    "each shell has its own pid": ("sh -c 'echo $$' >/tmp/p; [ $(cat /tmp/p) != $$ ] && echo differ", "differ\n"),
    "what jobs print is there": ("f() { echo hello; }; f & wait; echo done", "hello\ndone\n"),
    "also in a substitution": ('x=$( (sleep 1; echo a) & wait; echo b); echo "$x"', "a\nb\n"),
    "several jobs side by side": (
        "ps=; for i in 1 2 3; do (sleep 1; exit $i) & ps=\"$ps $!\"; done; for p in $ps; do wait $p; echo $?; done",
        "1\n2\n3\n",
    ),
    "locks are by file": (
        "lockf -k /tmp/1 sleep 2 & sleep 0.3; lockf -sk -t 0 /tmp/1 echo no; echo $?; lockf -k /tmp/2 echo yes; wait",
        "75\nyes\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SCRIPTS)
def test_a_script_prints_what_freebsd_prints(case: str) -> None:
    """Word for word; and what is beside each other takes the time of the longest."""
    pair = Pair()
    script, wanted = SCRIPTS[case]
    began = pair.now
    assert pair.sh(pair.a, script).out == wanted
    assert pair.now - began < 3
