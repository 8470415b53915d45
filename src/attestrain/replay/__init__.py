"""Doing drawn segments of someone else's training again, and signing what was found."""
