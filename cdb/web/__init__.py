"""The service: HTTP in, library call, answer out."""
