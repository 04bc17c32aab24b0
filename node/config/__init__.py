"""The configuration: one TOML file, checked as a whole, handed down as frozen values."""

from node.config.load import Config, load
from node.config.rules import AllOf, AnyOf, Condition, Not, Rule, Scanner, Test

__all__ = ["AllOf", "AnyOf", "Condition", "Config", "Not", "Rule", "Scanner", "Test", "load"]
