"""Tests of cdb/files."""
