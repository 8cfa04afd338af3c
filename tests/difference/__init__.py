"""Tests of cdb/difference."""
