"""What a geometry constant means."""
