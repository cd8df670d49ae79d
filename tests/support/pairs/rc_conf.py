"""Files of rc.conf(5) as people write them: one list of variables, in many styles and places."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

RC_CONF, LOCAL = "/etc/rc.conf", "/etc/rc.conf.local"
NETIF, NETWORK = "/etc/rc.conf.d/netif", "/etc/rc.conf.d/network"


@dataclass
class RcFiles:
    """The files of one node while they are written."""

    random: Random
    lines: dict[str, list[str]] = field(default_factory=dict)

    def set(self, name: str, value: str, file: str = RC_CONF) -> None:
        """A variable, in a style of somebody's."""
        self.raw(_assignment(self.random, name, value), file)

    def raw(self, text: str, file: str = RC_CONF) -> None:
        """A line as it stands."""
        self.lines.setdefault(file, []).append(text)

    def texts(self) -> dict[str, str]:
        """What stands in each file, in a style of somebody's."""
        found = {}
        for file, lines in self.lines.items():
            head = self.random.choice([[], ["# managed by hand"], ["", "#### network ####", ""]])
            body = lines
            if self.random.random() < 0.3:
                body = [each for line in lines for each in (line, self.random.choice(["", "# --", "#"]))]
            found[file] = "\n".join([*head, *body]) + "\n"
        return found


def _assignment(random: Random, name: str, value: str) -> str:
    style = random.choice(["double", "double", "double", "single", "continued", "remark", "bare", "spaced", "export"])
    words = value.split(" ")
    if style == "single" and "$" not in value:
        return f"{name}='{value}'"
    if style == "continued" and len(words) > 2:
        at = random.randrange(1, len(words) - 1)
        return f'{name}="{" ".join(words[:at])} \\\n\t{" ".join(words[at:])}"'
    if style == "bare" and len(words) == 1 and value:
        return f"{name}={value}"
    if style == "remark":
        return f'{name}="{value}"\t# {random.choice(["see the wiki", "do not touch", "2019-03-01 jd"])}'
    if style == "spaced":
        return f'{random.choice(["  ", chr(9)])}{name}="{value}"  '
    if style == "export":
        return f'export {name}="{value}"'
    return f'{name}="{value}"'
