"""Preparing what `datasets` reads."""
