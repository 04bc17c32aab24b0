"""The door in: objects are received and kept, and their studies assembled and decided."""

from node.intake.assembly import Assembly, Plan, Routes
from node.intake.scp import Receiver

__all__ = ["Assembly", "Plan", "Receiver", "Routes"]
