"""The whole walk on one machine: a scanner sends, the node measures, a PACS receives, and the report is read."""
