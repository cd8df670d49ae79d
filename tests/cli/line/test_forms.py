"""Templates of `-o`: kubectl's own program says what is right; what it does not read is refused with what to write."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hactl.cli.forms.columns import parse_columns
from hactl.cli.forms.jsonpath import TemplateError, parse_template
from hactl.cli.forms.option import Form
from hactl.cli.output import print_data

KUBECTL = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
OBJECT = {
    "apiVersion": "hactl.dev/v1alpha1",
    "kind": "HACluster",
    "metadata": {"labels": {"a.b/c": "x", "plain": "y"}, "name": "nas"},
    "spec": {
        "count": 3,
        "half": 1.5,
        "list": {"k": [1, 2, 3, 4, 5]},
        "nodes": [{"name": "a", "port": 22}, {"name": "b", "port": 23, "up": True}, {"name": "c", "up": False}],
        "nothing": None,
        "truth": True,
    },
}
#: Template -> what kubectl prints of OBJECT (asked of it below, where there is one).
TEMPLATES = {
    "{.metadata.name}": "nas",
    "{ .kind }": "HACluster",
    "{$.kind}{@.kind}": "HAClusterHACluster",
    "n={.spec.count}, {.spec.half} {.spec.truth}": "n=3, 1.5 true",
    "{.spec.nodes[*].name}": "a b c",
    "{.spec.nodes[-1].name}": "c",
    "{.spec.list.k[0:4:2]}": "1 3",
    "{.spec.list.k[1:]}": "2 3 4 5",
    "{.spec.list.k[:2]}": "1 2",
    "{.spec.list.k[-2:]}": "4 5",
    "{.spec.list.k[0,2]}": "1 3",
    "{.spec.list.k}": "[1,2,3,4,5]",
    "{.metadata['name','kind']}": "nas",
    r"{.metadata.labels.a\.b/c}": "x",
    "{.metadata.labels}": '{"a.b/c":"x","plain":"y"}',
    '{range .spec.nodes[*]}{.name}{"\\t"}{.port}{"\\n"}{end}.': "a\t22\nb\t23\nc\t\n.",
    "{range .spec.nodes[*]}{range .name}<{@}>{end}{end}": "<a><b><c>",
    "{.spec.nodes[?(@.port>22)].name}": "b",
    "{.spec.nodes[?(@.port!=22)].name}": "b",
    "{.spec.nodes[?(@.port<=22)].name}": "a",
    '{.spec.nodes[?(@.name=="b")].port}': "23",
    "{.spec.nodes[?(@.up)].name}": "b c",
    "{.spec.nodes[?(@.up==true)].name}": "b",
    "{.spec.nodes[?(@.port==22)]}": '{"name":"a","port":22}',
    "{.spec.nodes..name}": "a b c",
    "{.spec.list.*}": "[1,2,3,4,5]",
    "{.missing}{.spec.nodes[0].missing.more}": "",
    '{"quoted \\" text"}{.kind}': 'quoted " textHACluster',
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_say_what_kubectl_says(template: str) -> None:
    """Each form of a path that kubectl's page lists."""
    assert parse_template(template).render(OBJECT) == TEMPLATES[template]


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed here")
def test_kubectl_itself_says_so(tmp_path: Path) -> None:
    """The table above is right: kubectl prints the same of the same object, without a server."""
    assert KUBECTL is not None
    file = tmp_path / "object.json"
    file.write_text(json.dumps(OBJECT))
    labels = f"--local --dry-run=client -f {file} plain=y --overwrite".split()
    for template, wanted in TEMPLATES.items():
        command = [KUBECTL, "label", *labels, "-o", f"jsonpath={template}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, wanted), (template, done.stderr[:300])


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("plain", "paths stand in braces"),
        ("{kind}", "begins with a point"),
        ("{.a", "at its end"),
        ("{.a .b}", "braces of its own"),
        ("{range .a}{.b}", "has no {end}"),
        ("{end}", "{end} without"),
        ("{.a[}", "expected a number"),
        ("{.a[1}", "expected , or ]"),
        ("{.a[0:4:0]}", "a step other than 0"),
        ('{.a[?(@.b=="c" && @.d)]}', "one comparison"),
        ("{.a[?(@.b=c)]}", "one of =="),
        ("{.a[?(@.b==c)]}", "a text in quotes"),
        ("{.a.}", "expected a name"),
        ("{..}", "expected a name"),
    ],
)
def test_what_cannot_be_read_says_where_and_what_to_write(template: str, told: str) -> None:
    """Before anything is asked."""
    with pytest.raises(TemplateError) as refused:
        parse_template(template)
    assert told in str(refused.value)


def test_a_filter_does_not_guess_which_of_several_is_meant() -> None:
    """kubectl refuses it as well."""
    with pytest.raises(TemplateError, match="has several"):
        parse_template("{.spec[?(@[*]==1)]}").render({"spec": [[1, 2]]})


def test_columns_are_read_past_commas_in_brackets() -> None:
    """A filter and a union have commas and colons of their own."""
    columns = parse_columns('NAME:.metadata.name,PORT:.spec.nodes[?(@.name=="b,\'c")].port,TWO:spec.nodes[0,1].name')
    assert columns.header == ["NAME", "PORT", "TWO"]
    assert columns.cells(OBJECT) == ["nas", "<none>", "a,b"]
    for wrong in ("", "NAME", "NAME:", ":.a", "NAME:.a,", "NAME:.a[0", "NAME:.a b"):
        with pytest.raises(TemplateError):
            parse_columns(wrong)


def test_forms_of_the_option(tmp_path: Path) -> None:
    """Names, templates, templates of files, kubectl's `-o=`; templates of Go are refused in words."""
    form = Form(["wide", "json"])
    assert form.convert("=json", None, None) == "json"
    assert form.convert("=jsonpath={.a}", None, None) == "jsonpath={.a}"
    file = tmp_path / "columns"
    file.write_text("NAME          KIND\n.metadata.name .kind\n")
    assert form.convert(f"custom-columns-file={file}", None, None) == "custom-columns=NAME:.metadata.name,KIND:.kind"
    (tmp_path / "path").write_text("{.kind}")
    assert form.convert(f"jsonpath-file={tmp_path / 'path'}", None, None) == "jsonpath={.kind}"
    for wrong, told in (
        ("go-template={{.metadata.name}}", "-o jsonpath='{.metadata.name}'"),
        ("yaml", "not one of wide, json, jsonpath=..."),
        ("jsonpath", "paths stand in braces"),
        ("jsonpath-file=/nowhere", "No such file"),
        ("custom-columns=NAME", "NAME:.metadata.name"),
    ):
        with pytest.raises(click.BadParameter) as refused:
            form.convert(wrong, None, None)
        assert told in refused.value.message
    with pytest.raises(click.BadParameter):
        Form(["name"]).convert("jsonpath={.a}", None, None)


def test_data_is_printed_by_every_template(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON of what a path names, columns of a list, and what is no list."""
    print_data("jsonpath-as-json={.spec.nodes[*].name}", OBJECT)
    assert json.loads(capsys.readouterr().out) == ["a", "b", "c"]
    print_data("custom-columns=NAME:.metadata.name,KIND:.kind", {"items": [OBJECT, {"kind": "Other"}]})
    assert capsys.readouterr().out == "NAME     KIND\nnas      HACluster\n<none>   Other\n"
    print_data("custom-columns=KIND:.kind", [OBJECT], headers=False)
    assert capsys.readouterr().out == "HACluster\n"
    print_data("jsonpath={[0].kind}", [OBJECT])
    assert capsys.readouterr().out == "HACluster"
