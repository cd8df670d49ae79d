"""Conditions a node tests itself, as sh text: base system only, everything of the document quoted.

Man pages: ifconfig(8), hastctl(8), mount(8), dd(1), diskinfo(8), service(8).
"""

from __future__ import annotations

import re

from hactl.core.facts import CarpState, HastRole, device_of
from hactl.core.objects import ServiceSpec
from hactl.core.onestatus.judge import JUDGE_IN_STEP, question_of, shown
from hactl.core.sh import quote
from hactl.core.steps import Check

#: What is read at either end of a device to call it blank, bytes.
BLANK_BYTES = 1024 * 1024
NEWLINE = "\n"


def address_line(ip: str, vhid: int | None = None) -> str:
    """An extended regular expression for the line of `ifconfig IF` that shows this address.

    A link-local address is shown with its zone: fe80::1%ix1 (ifconfig(8), seen).
    """
    tail = f" .*vhid {vhid}( |$)" if vhid is not None else " "
    return f"inet6? {re.escape(ip)}(%[^ ]+)?{tail}"


def _shows(interface: str, pattern: str) -> str:
    return f"ifconfig {quote(interface)} | grep -Eq {quote(pattern)}"


def prints(program: str, *texts: str) -> str:
    """sh text: the program prints one of these texts. Every line it prints has a newline before and after it here.

    The shell reads it itself: a grep would be one more program, and in a move each one is time without service. A
    program that fails has said nothing.
    """
    return f"{_said(program)}\n{_has(*texts)}"


def _said(program: str) -> str:
    return f"hactl_said=$({program}) || exit 1"


def _has(*texts: str) -> str:
    found = "|".join(f"*{quote(text)}*" for text in texts)
    return f'case "{NEWLINE}$hactl_said{NEWLINE}" in {found}) ;; *) exit 1 ;; esac'


def _has_not(text: str) -> str:
    return f'case "{NEWLINE}$hactl_said{NEWLINE}" in *{quote(text)}*) exit 1 ;; esac'


def carp_loaded() -> Check:
    """carp(4) is in the kernel."""
    return Check("the carp module is loaded", "kldstat -q -m carp")


def address_absent(interface: str, ip: str) -> Check:
    """The interface does not have the address (adding it again would drop MASTER)."""
    return Check(
        f"{interface} does not have {ip}",
        f"ifconfig {quote(interface)} >/dev/null 2>&1 || exit 1\n! {_shows(interface, address_line(ip))}",
    )


def address_gone(interface: str, ip: str, vhid: int) -> Check:
    """The address is not on that vhid."""
    return Check(f"{ip} is not on vhid {vhid} of {interface}", f"! {_shows(interface, address_line(ip, vhid))}")


def address_on(interface: str, ip: str, vhid: int) -> Check:
    """The address is on that vhid of the interface."""
    return Check(f"{ip} is on vhid {vhid} of {interface}", _shows(interface, address_line(ip, vhid)))


def vhid_exists(interface: str, vhid: int) -> Check:
    """The vhid is there: any command that names another number creates an orphan (docs/freebsd-facts.md#trap-3)."""
    lines = [f"carp: {state} vhid {vhid} " for state in CarpState]
    return Check(f"vhid {vhid} exists on {interface}", prints(f"ifconfig {quote(interface)}", *lines))


def vhid_is(interface: str, vhid: int, advbase: int, advskew: int, variable: str | None) -> Check:
    """The vhid has these values; the key is compared inside the shell, so that it is on no command line."""
    says = f"vhid {vhid} of {interface} has advbase {advbase} and advskew {advskew}"
    line = f"vhid {vhid} advbase {advbase} advskew {advskew}"
    if variable is None:
        lines = [f"carp: {state} {line}{end}" for state in CarpState for end in (NEWLINE, " ")]
        return Check(says, prints(f"ifconfig {quote(interface)}", *lines))
    pattern = f'*"{line} key \\"${{{variable}}}\\""*'
    return Check(
        f"{says}, and its password", f'case "$(ifconfig -k {quote(interface)})" in {pattern}) ;; *) exit 1 ;; esac'
    )


def sysctl_is(name: str, value: int) -> Check:
    """A sysctl has this value now."""
    return Check(f"{name} is {value}", f'[ "$(sysctl -n {name} 2>/dev/null)" = {value} ]')


def hastd_answers(within_seconds: float = 10.0) -> Check:
    """hastd answers hastctl."""
    return Check("hastd answers", "hastctl status >/dev/null 2>&1", within_seconds)


def role_is(resource: str, role: HastRole, within_seconds: float = 0.0) -> Check:
    """The node says that it has this role for the resource."""
    test = prints(f"hastctl list {quote(resource)}", f"{NEWLINE}  role: {role}{NEWLINE}")
    return Check(f"{resource} is {role} here", test, within_seconds)


def no_metadata(resource: str, device: str) -> Check:
    """hastctl dump finds no metadata, in the words that mean a zeroed disk (recording 03)."""
    words = f"Unable to read metadata from {device}: No such file or directory"
    return Check(
        f"{device} holds no HAST metadata",
        f'case "$(hastctl dump {quote(resource)} 2>&1)" in *{quote(words)}*) ;; *) exit 1 ;; esac',
    )


def has_metadata(resource: str) -> Check:
    """hastctl dump reads metadata of this resource."""
    return Check(
        f"metadata of {resource} can be read", prints(f"hastctl dump {quote(resource)}", f"{NEWLINE}resource: ")
    )


def blank(device: str) -> Check:
    """The first and last MiB are there and all zero; a failed read is not zero."""
    return Check(
        f"the first and last MiB of {device} are all zero",
        "\n".join(
            [
                f"hactl_dev={quote(device)}",
                'set -- $(diskinfo "$hactl_dev") && [ $# -ge 3 ] && [ "$3" -ge 4194304 ] || exit 1',
                f"hactl_skip=$((($3 - {BLANK_BYTES}) / $2)); hactl_count=$(({BLANK_BYTES} / $2)); hactl_sector=$2",
                "for hactl_at in 0 $hactl_skip; do",
                '  hactl_n=$(dd if="$hactl_dev" bs="$hactl_sector" skip="$hactl_at" count="$hactl_count" 2>/dev/null'
                " | wc -c)",
                f'  [ "$hactl_n" -eq {BLANK_BYTES} ] || exit 1',
                '  hactl_n=$(dd if="$hactl_dev" bs="$hactl_sector" skip="$hactl_at" count="$hactl_count" 2>/dev/null'
                " | tr -d '\\000' | wc -c)",
                '  [ "$hactl_n" -eq 0 ] || exit 1',
                "done",
            ]
        ),
    )


def not_blank(device: str) -> Check:
    """Something was written to the first MiB."""
    return Check(
        f"{device} holds something",
        f"[ \"$(dd if={quote(device)} bs=1048576 count=1 2>/dev/null | tr -d '\\000' | wc -c)\" -gt 0 ]",
    )


def not_mounted(device: str) -> Check:
    """Nothing is mounted from the device."""
    return Check(f"{device} is not mounted", f"{_said('mount')}\n{_has_not(f'{NEWLINE}{device} on ')}")


def complete(resource: str) -> str:
    """sh text: the primary says that it is connected and that nothing is left to be copied."""
    said = _said(f"hastctl list {quote(resource)}")
    status, dirty = f"{NEWLINE}  status: complete{NEWLINE}", f"{NEWLINE}  dirty: 0 "
    return f"{said}\n{_has(status)}\n{_has(dirty)}"


def not_open(device: str) -> Check:
    """Nobody has it open: GEOM's open counts of the provider, whatever its class (geom(4)); of a file fstat(1).

    What GEOM does not list has no counts, and fails.
    """
    if not device.startswith("/dev/"):
        return Check(f"nobody uses {device}", f'[ "$(fstat {quote(device)} | wc -l)" -eq 1 ]')
    return Check(
        f"nobody uses {device}",
        f"hactl_dev=$(realpath {quote(device)}) || exit 1\n"
        "hactl_mode=$(sysctl -n kern.geom.confxml | awk -F'[<>]' -v name=\"${hactl_dev#/dev/}\" '\n"
        "  $2 ~ /^(geom|provider|consumer) id=/ { here = ($2 ~ /^provider/) }\n"
        '  here && $2 == "mode" { mode = $3 }\n'
        '  here && $2 == "name" && $3 == name { print mode }\')\n'
        '[ "$hactl_mode" = r0w0e0 ] || exit 1\n'
        f"! mount | grep -Fq {quote(device + ' on ')} && ! swapinfo 2>/dev/null | grep -Fq {quote(device)}",
    )


def device_ready(resource: str, within_seconds: float = 0.0) -> Check:
    """The replicated device is there (it comes some time after the role: recording 06)."""
    return Check(f"{device_of(resource)} exists", f"[ -c {quote(device_of(resource))} ]", within_seconds)


def device_absent(resource: str) -> Check:
    """The replicated device is not there."""
    return Check(f"{device_of(resource)} does not exist", f"[ ! -e {quote(device_of(resource))} ]")


def mountpoint_free(mountpoint: str) -> Check:
    """Nothing is mounted there."""
    return Check(f"nothing is mounted on {mountpoint}", f"{_said('mount')}\n{_has_not(f' on {mountpoint} (')}")


def mountpoint_real(mountpoint: str) -> Check:
    """No symbolic link on the way there: mount(8) resolves them (sbin/mount/mount.c, mountfs), so the mount table
    would show another name and the filesystem look misplaced. FreeBSD 13 installs /home as a link to /usr/home.
    """
    return Check(
        f"{mountpoint} is not behind a symbolic link",
        f"hactl_at={quote(mountpoint)}\n"
        'while [ -n "$hactl_at" ]; do [ ! -L "$hactl_at" ] || exit 1; hactl_at=${hactl_at%/*}; done',
    )


def mounted(device: str, mountpoint: str, within_seconds: float = 0.0) -> Check:
    """The device is mounted there."""
    test = prints("mount", f"{NEWLINE}{device} on {mountpoint} (")
    return Check(f"{device} is mounted on {mountpoint}", test, within_seconds)


def pool_imported(pool: str) -> Check:
    """The pool is imported here."""
    return Check(f"pool {pool} is imported", f"zpool list -H -o name {quote(pool)} >/dev/null 2>&1")


def pool_absent(pool: str) -> Check:
    """The pool is not imported here."""
    return Check(f"pool {pool} is not imported", f"! zpool list -H -o name {quote(pool)} >/dev/null 2>&1")


def service_runs(spec: ServiceSpec, within_seconds: float = 0.0) -> Check:
    """Its own script says it runs, or the check that the document names."""
    return Check(f"{spec.name} runs{_by(spec)}", _judged(spec, "yes"), within_seconds)


def service_stopped(spec: ServiceSpec, within_seconds: float = 0.0) -> Check:
    """Its own script says it does not run, or the check; what nobody can tell is not that."""
    return Check(f"{spec.name} does not run{_by(spec)}", _judged(spec, "no"), within_seconds)


def _by(spec: ServiceSpec) -> str:
    return "" if spec.check is None else f" by its check ({shown(spec.check)})"


def _judged(spec: ServiceSpec, runs: str) -> str:
    """sh text: what the script answers, or the document's check, comes to this."""
    if spec.check is None:
        asked = f'hactl_text=$({_onestatus(spec.name)})\nhactl_judge $? "$hactl_text" {quote(spec.name)}'
    else:
        asked = f"{question_of(spec.check)} >/dev/null 2>&1\nhactl_judge $? ''"
    return f'{JUDGE_IN_STEP}\n{asked}\n[ "$hactl_runs" = {runs} ]'


def _onestatus(name: str) -> str:
    """sh text: what service(8) does, without reading rc.conf once more to find the script."""
    base, local = (quote(f"{place}/rc.d/{name}") for place in ("/etc", "/usr/local/etc"))
    found = f"if [ -x {base} ]; then {base} onestatus; elif [ -x {local} ]; then {local} onestatus"
    return f"{found}; else service {quote(name)} onestatus; fi 2>&1"
