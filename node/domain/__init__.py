"""The things that flow through the node: frozen values with units and frames in their names."""
