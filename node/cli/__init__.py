"""The commands: one module for each, or for a family of them. Nothing else prints."""

from node.cli import check, demo, measure, phantom, qa, serve, status
from node.cli.console import cli, main

__all__ = ["check", "cli", "demo", "main", "measure", "phantom", "qa", "serve", "status"]
