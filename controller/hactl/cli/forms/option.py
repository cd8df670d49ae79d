"""The option `-o`: forms that a command has by name, and templates wherever it has JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

#: Forms that take a text after `=`; what -file reads is a file.
TEMPLATES = ("jsonpath", "jsonpath-as-json", "jsonpath-file", "custom-columns", "custom-columns-file")
_GO = ("go-template", "go-template-file", "template", "templatefile")
NO_GO_TEMPLATES = (
    "templates of Go are not read here; the same as JSONPath: {{.metadata.name}} is "
    "-o jsonpath='{.metadata.name}', {{range .items}}...{{end}} is '{range .items[*]}...{end}'"
)


class Form(click.ParamType[str]):
    """What `-o` takes; a template is checked before anything is asked."""

    name = "form"

    def __init__(self, forms: Sequence[str]) -> None:
        """`forms`: those that have a name."""
        self.forms = tuple(forms)
        self.templates = TEMPLATES if "json" in forms else ()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The form as `hactl.cli.output.print_data` takes it. Raises click.BadParameter."""
        text = str(value).removeprefix("=")
        if text in self.forms:
            return text
        name, _, template = text.partition("=")
        if self.templates and name in _GO:
            self.fail(NO_GO_TEMPLATES, param, ctx)
        if name not in self.templates:
            known = [*self.forms, *(f"{each}=..." for each in self.templates)]
            self.fail(f"{text!r} is not one of {', '.join(known)}", param, ctx)
        return f"{name.removesuffix('-file')}={self._checked(name, template, param, ctx)}"

    def _checked(self, name: str, template: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from hactl.cli.forms.columns import parse_columns, text_of_file
        from hactl.cli.forms.jsonpath import TemplateError, parse_template

        try:
            if name.endswith("-file"):
                text = Path(template).read_text(encoding="utf-8")
                if name.startswith("custom-columns"):
                    return text_of_file(text)
                parse_template(text)
                return text
            if name.startswith("jsonpath"):
                parse_template(template)
            else:
                parse_columns(template)
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{template or 'no file'}: {getattr(error, 'strerror', None) or error}", param, ctx)
        except TemplateError as error:
            self.fail(f"{name}: {error}", param, ctx)
        return template

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """The forms, for the help."""
        words = [*self.forms, *(("jsonpath=...", "custom-columns=...") if self.templates else ())]
        return f"[{'|'.join(words)}]"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Forms that begin so."""
        from click.shell_completion import CompletionItem

        words = [*self.forms, *(f"{each}=" for each in self.templates)]
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def output_option(*forms: str) -> Callable[[F], F]:
    """`-o FORM`; where one of them is json, also jsonpath=... and custom-columns=..., by the same mechanism."""
    return click.option("-o", "--output", "form", type=Form(forms), help="How to show it.")


def is_data(form: str | None) -> TypeGuard[str]:
    """Whether the form is one of `hactl.cli.output.print_data`: machine-readable, or somebody's own template."""
    return form in ("json", "yaml") or (form is not None and "=" in form)
