"""System processes that every peer expects."""
