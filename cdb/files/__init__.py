"""Constants outside the database: text files, foreign trees."""
