"""The configuration: one TOML file, checked as a whole, handed down as frozen values."""

from node.config.load import Config, catalogue, load, load_with
from node.config.rules import AllOf, AnyOf, AttributeTest, Condition, Not, Rule, Scanner

__all__ = [
    "AllOf",
    "AnyOf",
    "AttributeTest",
    "Condition",
    "Config",
    "Not",
    "Rule",
    "Scanner",
    "catalogue",
    "load",
    "load_with",
]
