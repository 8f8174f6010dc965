"""Checks: each takes a Table and tells what somebody should know of its rows."""
