"""What --source understands, and what it says to everything else."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from hactl.cli.commands.controller.source_option import SourceOption, make_source, parse_source, parse_sources
from support.sources import StillClock


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("clusters", SourceOption("files", "clusters", "clusters")),
        ("./clusters/", SourceOption("files", "clusters", "./clusters/")),
        ("a:b", SourceOption("files", "a:b", "a:b")),
        ("https://h.example/c.yaml", SourceOption("http", "https://h.example/c.yaml", "https://h.example/c.yaml")),
        (
            "https://h.example/c/?x=1#token=/t&ca=/ca.pem&poll=10s",
            SourceOption(
                "http", "https://h.example/c/?x=1", "https://h.example/c/?x=1",
                options={"token": "/t", "ca": "/ca.pem", "poll": "10s"},
            ),
        ),
        (
            "http://127.0.0.1:8000/c.yml#allow-http=true",
            SourceOption(
                "http", "http://127.0.0.1:8000/c.yml", "http://127.0.0.1:8000/c.yml", options={"allow-http": "true"}
            ),
        ),
        ("git:/srv/ha.git", SourceOption("git", "git:file:///srv/ha.git#HEAD", "file:///srv/ha.git")),
        (
            "git:https://h/ha.git#main:clusters/prod?verify=true",
            SourceOption(
                "git", "git:https://h/ha.git#main:clusters/prod", "https://h/ha.git", "main", "clusters/prod",
                {"verify": "true"},
            ),
        ),
        (
            "git:git@h.example:ops/ha.git#v1.2",
            SourceOption("git", "git:git@h.example:ops/ha.git#v1.2", "git@h.example:ops/ha.git", "v1.2"),
        ),
        (
            "git:ssh://git@h.example:2222/ha.git#:clusters/",
            SourceOption(
                "git", "git:ssh://git@h.example:2222/ha.git#HEAD:clusters", "ssh://git@h.example:2222/ha.git",
                "HEAD", "clusters",
            ),
        ),
        ("k8s:in-cluster", SourceOption("k8s", "k8s:in-cluster", "in-cluster")),
        (
            "k8s:/etc/kube.conf?namespace=ha&context=prod",
            SourceOption(
                "k8s", "k8s:/etc/kube.conf?context=prod&namespace=ha", "/etc/kube.conf",
                options={"context": "prod", "namespace": "ha"},
            ),
        ),
    ],
)  # fmt: skip
def test_every_kind(text, option):
    """The label is what was written, without what is only about how to reach it."""
    assert parse_source(text) == option


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("ftp://h/c.yaml", "ftp: is no kind of source"),
        ("http://h.example/c.yaml", "to this machine only"),
        ("http://h.example/c.yaml#allow-http=true", "to this machine only"),
        ("http://127.0.0.1/c.yaml", "allow-http=true"),
        ("http://[::1]/c.yaml#allow-http=true&token=/t", "over https only"),
        ("https:///c.yaml", "no host"),
        ("https://h:x/c.yaml", "no URL"),
        ("https://h/clusters", "ends with a slash"),
        ("https://h/c.yaml#tokn=/t", "no option 'tokn'; there are allow-http, ca"),
        ("https://h/c.yaml#poll=often", "no duration"),
        ("https://h/c.yaml#poll=1s&poll=2s", "twice"),
        ("https://h/c.yaml#token=", "takes a file"),
        ("https://h/c.yaml#here", "no option 'here'"),
        ("https://h/c.yaml#key=/k", "without cert="),
        ("git:", "is not fetched"),
        ("git:ext::sh -c id#main", "is not fetched"),
        ("git:http://h/x.git#main", "is not fetched"),
        ("git:--upload-pack=id#main", "is not fetched"),
        ("git:https://h/x.git#--help", "no name of a branch"),
        ("git:https://h/x.git#a..b", "no name of a branch"),
        ("git:https://h/x.git#+a", "no name of a branch"),
        ("git:https://h/x.git#main:../etc", "no path in a repository"),
        ("git:https://h/x.git#main:a//b", "no path in a repository"),
        ("git:https://h/x.git#main?verify=yes", "true or false"),
        ("k8s:", "name a kubeconfig"),
        ("k8s:in-cluster?context=x", "no contexts"),
        ("k8s:f?namespace=A/b", "no name of a namespace"),
    ],
)
def test_what_is_wrong_is_said(text, told):
    """With the text, so that one knows which of several it is."""
    with pytest.raises(click.BadParameter) as error:
        parse_source(text)
    assert told in error.value.message
    assert text in error.value.message


@pytest.mark.parametrize(
    "text", ["https://u:hunter2@h/c.yaml", "https://hunter2@h/c.yaml", "git:https://hunter2@h/x.git#main",
             "git:ssh://u:hunter2@h/x.git"],
)  # fmt: skip
def test_credentials_in_a_url_are_refused_and_not_repeated(text):
    """They would stand in every list of processes."""
    with pytest.raises(click.BadParameter) as error:
        parse_source(text)
    assert "do not belong into a URL" in error.value.message
    assert "hunter2" not in error.value.message


def test_the_same_source_twice_is_a_mistake():
    """Also with other options."""
    with pytest.raises(click.BadParameter, match="given twice"):
        parse_sources(("clusters", "./clusters"))
    with pytest.raises(click.BadParameter, match="given twice"):
        parse_sources(("https://h/c.yaml", "https://h/c.yaml#poll=10s"))
    assert len(parse_sources(("clusters", "https://h/c.yaml", "git:/srv/a#main:x", "git:/srv/a#main:y"))) == 4


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("clusters", "FileSource"), ("https://h/c.yaml#cert=/c&key=/k&timeout=5s", "HttpSource"),
        ("git:/srv/ha.git#main?verify=true", "GitSource"), ("k8s:in-cluster", "KubeSource"),
    ],
)  # fmt: skip
def test_each_becomes_an_adapter(text, kind, tmp_path):
    """Nothing is opened or made yet."""
    source = make_source(parse_source(text), StillClock(), state=tmp_path / "hactl.db", secrets=Path("secrets"))
    assert type(source).__name__ == kind
    assert list(tmp_path.iterdir()) == []
