"""Tests of cdb/geometry."""
