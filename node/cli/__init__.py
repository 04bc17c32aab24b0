"""The commands: one module for each, or for a family of them. Nothing else prints."""

from node.cli import check, config, demo, measure, phantom, qa, render, rules, senders, serve, status
from node.cli.console import cli, main

__all__ = [
    "check",
    "cli",
    "config",
    "demo",
    "main",
    "measure",
    "phantom",
    "qa",
    "render",
    "rules",
    "senders",
    "serve",
    "status",
]
