"""The vertebral column: found, named, delineated."""
