"""Constants of other stores, taken in and handed out."""
