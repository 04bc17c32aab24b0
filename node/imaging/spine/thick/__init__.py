"""Endplates in thick slices: fitted to what such slices hold, for a whole column at once."""

from node.imaging.spine.thick.endplates import fitted

__all__ = ["fitted"]
