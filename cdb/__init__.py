"""The calibration-constants database for X-ray laser detectors."""
